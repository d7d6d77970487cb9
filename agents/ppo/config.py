"""Configurations of PPO and of the imitation before it; knows no torch, so that a mistake is answered at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from li_env.agents.config_checks import check_config, check_counts
from li_env.errors import check_choice
from li_env.validation import check_number

TASKS = ("pointgoal", "imagegoal")
"""What can be trained: tasks with a goal sensor."""


@dataclass(frozen=True)
class PPOConfig:
    """How an agent is trained; the same keys in YAML.

    Attributes:
        task: ``pointgoal`` or ``imagegoal``.
        world: by name.
        preset: acceleration preset, by name or as settings.
        steps: environment steps in all, over all worlds; a step is one chunk of frames.
        cloning_steps: the first of them, in which the agent imitates shortest ways (`li_env.agents.ppo.dagger`)
            instead of learning from reward; needs a dataset that names its maps.
        worlds: that step together.
        horizon: steps per world between two updates.
        batch_size: of a gradient step.
        epochs: over the steps of an update.
        learning_rate: at the start; falls linearly to 0.
        gamma, gae_lambda, clip_range, entropy: of PPO.
        max_episode_steps: until an episode is cut.
        snapshots: how often the policy is stored along the way.
        seed: of the policy and the episodes.
    """

    task: str = "pointgoal"
    world: str = "freedoom"
    preset: str | Mapping[str, Any] = "off"
    steps: int = 100_000
    cloning_steps: int = 0
    worlds: int = 64
    horizon: int = 32
    batch_size: int = 512
    epochs: int = 4
    learning_rate: float = 5e-4
    gamma: float = 0.97
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    entropy: float = 0.01
    max_episode_steps: int = 32
    snapshots: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("task", self.task, TASKS)
        check_config(self)
        for name in ("gamma", "gae_lambda", "entropy"):
            check_number(name, getattr(self, name), 0, 1)
        for name in ("learning_rate", "clip_range"):
            check_number(name, getattr(self, name), 0, 1, above=True)
        if self.worlds * self.horizon < 2:
            raise ValueError("worlds=1 with horizon=1 is not allowed; PPO needs two steps per update")


@dataclass(frozen=True)
class CloningConfig:
    """How long and how.

    Attributes:
        steps: environment steps in all, over all worlds; a little more, because episodes are played to their end.
        worlds: that step together.
        horizon: a round begins new episodes until this many steps per world have been made.
        epochs: over all answers so far, in every round.
        batch_size: of a gradient step.
        learning_rate: of AdamW.
        max_episode_steps: until an episode is cut.
        seed: of episodes and draws.
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
