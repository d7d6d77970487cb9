"""Configurations of PPO and of the imitation before it; free of torch, so that a mistake is answered at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from li_env.agents.config_checks import check_config, check_counts
from li_env.validation import check_flag, check_number, check_whole, shown

TASKS = ("pointgoal", "imagegoal", "explore")
"""Tasks that PPO learns."""

CLONED = ("pointgoal", "imagegoal")
"""Tasks with a teacher for the imitation: those with a goal."""


@dataclass(frozen=True)
class PPOConfig:
    """Settings of a training with PPO; the same keys in YAML.

    Attributes:
        task: ``pointgoal``, ``imagegoal`` or ``explore``.
        world: name of the world.
        preset: acceleration preset, by name or as settings.
        scans: folder of scans in which the episodes take place, each in that of its map; none if empty.
        steps: environment steps in all; a step is one chunk of frames.
        cloning_steps: first steps, in which the agent imitates shortest paths (`li_env.agents.ppo.dagger`) instead of
            learning from reward; needs a dataset that names its maps, and ``recurrent: false``.
        worlds: environments that step together.
        in_flight: groups of environments whose steps are in flight together: with 2, while a GPU makes the chunks of
            one, the host and the policy work for the other. Slower than 1 where it was measured (docs/learning.md).
        horizon: steps per environment between two updates.
        batch_size: steps of a gradient step, in whole sequences of ``horizon`` steps: too few gradient steps per
            environment step are why an agent never learns to stop (docs/learning.md).
        epochs: passes over the steps of an update.
        learning_rate: learning rate of Adam at the start; it falls linearly to 0.
        gamma: discount per step.
        gae_lambda: trade-off between bias and variance of the advantages.
        clip_range: range to which PPO clips the ratio of probabilities.
        entropy: weight of the entropy bonus at the start.
        final_entropy: the same at the end; linear between.
        reward_scale: factor of rewards inside the training, which brings returns near 1.
        recurrent: whether the agent has a recurrent memory (GRU) beside the last eight steps.
        bump_weight: weight of the auxiliary loss: predict the share of the chosen motion that walls refuse.
        symmetric: whether the policy does to the left exactly what it does to the right; twice the work of the network.
        colours: largest change of the brightness of each colour, drawn for every episode.
        max_episode_steps: steps until an episode is cut.
        saves: updates between two saves of the agent. Episodes begin anew there, which makes an interrupted training
            continue bit for bit as if it had not been.
        snapshots: number of times that the policy is stored along the training.
        seed: seed of the policy and the episodes.
    """

    task: str = "pointgoal"
    world: str = "freedoom"
    preset: str | Mapping[str, Any] = "off"
    scans: str = ""
    steps: int = 400_000
    cloning_steps: int = 0
    worlds: int = 128
    in_flight: int = 1
    horizon: int = 32
    batch_size: int = 256
    epochs: int = 4
    learning_rate: float = 1e-3
    gamma: float = 0.97
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    entropy: float = 0.01
    final_entropy: float = 0.01
    reward_scale: float = 0.1
    recurrent: bool = False
    bump_weight: float = 0.0
    symmetric: bool = False
    colours: float = 0.0
    max_episode_steps: int = 32
    saves: int = 5
    snapshots: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        check_task(self.task)
        check_config(self)
        for name in ("gamma", "gae_lambda", "entropy", "final_entropy"):
            check_number(name, getattr(self, name), 0, 1)
        for name in ("learning_rate", "clip_range"):
            check_number(name, getattr(self, name), 0, 1, above=True)
        check_number("reward_scale", self.reward_scale, 0, 1000, above=True)
        check_number("bump_weight", self.bump_weight, 0, 1000)
        check_number("colours", self.colours, 0, 1, below=True)
        for name in ("recurrent", "symmetric"):
            check_flag(name, getattr(self, name))
        check_whole("in_flight", self.in_flight, 1)
        if self.worlds * self.horizon < 2:
            raise ValueError("worlds=1 with horizon=1 is not allowed; PPO needs two steps per update")
        if self.cloning_steps and self.task not in CLONED:
            raise ValueError(f"cloning_steps={self.cloning_steps} needs a goal; allowed with task {self.task!r}: 0")
        if self.cloning_steps and self.recurrent:
            raise ValueError(f"cloning_steps={self.cloning_steps} needs recurrent: false; allowed with a memory: 0")

    @property
    def groups(self) -> tuple[int, ...]:
        """Environments of each group, as equal as they can be; a group has at least one."""
        count = min(self.in_flight, self.worlds)
        return tuple((self.worlds + number) // count for number in reversed(range(count)))

    @property
    def sequences(self) -> int:
        """Sequences of ``horizon`` steps in a gradient step."""
        return min(self.worlds, max(1, self.batch_size // self.horizon))


def check_task(task: object) -> None:
    """Refuse a task that PPO does not learn, and name the trainer that does.

    Raises:
        ValueError: another task than `TASKS`.
    """
    if task not in TASKS:
        own = "li_env.SB3VecEnv and examples/recipes/ train any task"
        raise ValueError(f"task={shown(task)} cannot be learned by agent 'ppo'; allowed: {', '.join(TASKS)}; {own}")


@dataclass(frozen=True)
class CloningConfig:
    """Settings of the imitation.

    Attributes:
        steps: environment steps in all, and a few more, because episodes are played to their end.
        worlds: episodes that step together.
        horizon: steps per environment until a round begins no more episodes.
        epochs: passes over all labels so far, in every round.
        batch_size: labels of a gradient step.
        learning_rate: learning rate of AdamW.
        max_episode_steps: steps until an episode is cut.
        seed: seed of episodes and draws.
    """

    steps: int
    worlds: int = 64
    horizon: int = 32
    epochs: int = 6
    batch_size: int = 256
    learning_rate: float = 1e-3
    max_episode_steps: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(self)
        check_number("learning_rate", self.learning_rate, 0, 1, above=True)
