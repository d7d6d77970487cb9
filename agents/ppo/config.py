"""Configurations of PPO and of the imitation before it; free of torch, so that a mistake is answered at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from li_env.agents.config_checks import check_config, check_counts
from li_env.validation import check_choice, check_number

TASKS = ("pointgoal", "imagegoal")
"""Tasks that can be trained: those with a goal sensor."""


@dataclass(frozen=True)
class PPOConfig:
    """Settings of a training with PPO; the same keys in YAML.

    Attributes:
        task: ``pointgoal`` or ``imagegoal``.
        world: name of the world.
        preset: acceleration preset, by name or as settings.
        steps: environment steps in all; a step is one chunk of frames.
        cloning_steps: first steps, in which the agent imitates shortest paths (`li_env.agents.ppo.dagger`) instead of
            learning from reward; needs a dataset that names its maps.
        worlds: environments that step together.
        horizon: steps per environment between two updates.
        batch_size: steps of a gradient step.
        epochs: passes over the steps of an update.
        learning_rate: learning rate at the start; it falls linearly to 0.
        gamma: discount per step.
        gae_lambda: trade-off between bias and variance of the advantages.
        clip_range: range to which PPO clips the ratio of probabilities.
        entropy: weight of the entropy bonus.
        max_episode_steps: steps until an episode is cut.
        snapshots: number of times that the policy is stored along the training.
        seed: seed of the policy and the episodes.
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
