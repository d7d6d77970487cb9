"""Interfaces of agents and teachers.

An agent answers views of episodes with actions of the ``continuous`` action space. It stores nothing about an episode:
it returns its state with the action and gets the state back with the next view, and it draws from the view's generator.
So one agent plays any number of episodes at once, and no episode depends on the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces

from li_env import BaseWorld, EpisodeState, Task, View

ACTION_SPACE = "continuous"
"""Action space of the environments that agents play in."""


class PlayedEnv(Protocol):
    """What an agent may know of the single environment that it plays, `li_env.LightInteractionEnv`."""

    @property
    def world(self) -> BaseWorld:
        """The world."""
        ...

    @property
    def observation_space(self) -> spaces.Space[Any]:
        """The space of observations."""
        ...

    @property
    def action_space(self) -> spaces.Space[Any]:
        """The space of actions."""
        ...

    @property
    def task(self) -> Task:
        """What the agent is to do."""
        ...

    def simulate(
        self, states: Sequence[EpisodeState], actions: Sequence[Any]
    ) -> tuple[list[EpisodeState], np.ndarray, np.ndarray, np.ndarray]:
        """Make what-if steps: states after them, rewards, terminations, truncations."""
        ...


class Agent(Protocol):
    """Policy that acts in many episodes at once."""

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """Return an action of the ``continuous`` space and the new agent state for every view."""
        ...


class DrawingAgent:
    """Agent that draws at random, from `View.generator` alone.

    Args:
        seed: seed of the draws. Together with the number of an episode it makes the generators of the episode's views
            (`li_env.rollouts.play_episodes`, ``agent_seed``).
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed


@dataclass(frozen=True, eq=False)
class Label:
    """Answer of a teacher to one state.

    Attributes:
        macro_action: index of the macro action to take.
        clearances: float32 [rays], clearance along rays from the left edge of the view to the right edge, scaled to
            0 to 1; may be empty.
    """

    macro_action: int
    clearances: np.ndarray


class Teacher(Protocol):
    """Labeller of states."""

    def label(self, view: View) -> Label:
        """Return the label of a state, always with equally many clearances."""
        ...
