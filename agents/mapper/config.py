"""Configuration of a mapper's training; knows no torch, so that a mistake is answered at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from li_env.agents.config_checks import check_config
from li_env.errors import check_choice
from li_env.validation import check_number


@dataclass(frozen=True)
class MapperConfig:
    """How an eye is trained; the same keys in YAML, beside ``agent: mapper``.

    Attributes:
        task: ``pointgoal``.
        world: by name.
        preset: acceleration preset, by name or as settings.
        steps: environment steps in all, over all worlds, and a few more, because episodes are played to their end; a
            step is one chunk of frames and shows the eye the frame before it.
        worlds: that step together.
        rounds: into which the steps are divided: after each the eye learns from all frames so far.
        updates: gradient steps in all.
        batch_size: of a gradient step.
        learning_rate: the highest.
        random: share of moves that are drawn; the others follow shortest ways.
        max_episode_steps: until an episode is cut. Few: what a learned world invents out of sight of its start frame is
            not what the map has there (freedoom: an eye that is right to 0.2 m in the game differs from the map by
            0.2 m in the median after one step, by 0.4 after two and by 1.2 after four).
        seed: of the eye, the episodes and the moves.
    """

    task: str = "pointgoal"
    world: str = "freedoom"
    preset: str | Mapping[str, Any] = "off"
    steps: int = 32_768
    worlds: int = 64
    rounds: int = 8
    updates: int = 6_400
    batch_size: int = 256
    learning_rate: float = 2e-3
    random: float = 0.3
    max_episode_steps: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("task", self.task, ("pointgoal",))
        check_config(self)
        check_number("learning_rate", self.learning_rate, 0, 1, above=True)
        check_number("random", self.random, 0, 1)
