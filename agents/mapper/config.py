"""Configuration of a mapper's training; free of torch, so that a mistake is answered at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from li_env.agents.config_checks import check_config
from li_env.validation import check_number, shown


@dataclass(frozen=True)
class MapperConfig:
    """Settings of a mapper's training; the same keys in YAML, beside ``agent: mapper``.

    Attributes:
        task: ``pointgoal``.
        world: name of the world.
        preset: acceleration preset, by name or as settings.
        scans: folder of scans in which the episodes take place, each in that of its map; none if empty.
        steps: environment steps in all, and a few more, because episodes are played to their end. A step is one chunk;
            the network learns from the frame before it.
        worlds: episodes that step together.
        rounds: parts into which the steps are divided; after each the network learns from all frames so far.
        updates: gradient steps in all.
        batch_size: frames of a gradient step.
        learning_rate: highest learning rate.
        random: share of macro actions that are drawn; the others follow shortest paths.
        max_episode_steps: steps until an episode is cut. A small number, because a learned world invents what its start
            frame does not show, and the map has something else there. In freedoom a network that is right to 0.2 m in
            the game differs from the map by 0.2 m in the median after one step, by 0.4 m after two and 1.2 m after
            four.
        seed: seed of the network, the episodes and the draws.
    """

    task: str = "pointgoal"
    world: str = "freedoom"
    preset: str | Mapping[str, Any] = "off"
    scans: str = ""
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
        if self.task != "pointgoal":
            other = "agent 'ppo' learns imagegoal and explore"
            raise ValueError(
                f"task={shown(self.task)} cannot be learned by agent 'mapper'; allowed: pointgoal; {other}"
            )
        check_config(self)
        check_number("learning_rate", self.learning_rate, 0, 1, above=True)
        check_number("random", self.random, 0, 1)
