"""What an agent is: it answers views of episodes with actions.

Agents here speak the ``continuous`` action space. An agent keeps nothing about an episode: what it remembers it hands
back with its action and gets again with the next view, and what it draws comes from the view's generator. So one agent
plays any number of episodes at once, and an episode does not depend on the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from li_env.rollouts import View

ACTION_SPACE = "continuous"
"""Of the environments that agents play in."""


class Agent(Protocol):
    """Acts in many episodes at once."""

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """(an action of the ``continuous`` space, what to remember) for every view."""
        ...


class DrawingAgent:
    """An agent that draws at random, from `View.generator` alone.

    Args:
        seed: from which, together with the number of an episode, the generators of its views are made
            (`li_env.rollouts.play_episodes`, ``agent_seed``).
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed


@dataclass(frozen=True, eq=False)
class Label:
    """What a teacher says about one state.

    Attributes:
        move: index of the move to make.
        rays: free way along rays from the left edge of the view to the right one, each from 0 to 1; may be empty.
    """

    move: int
    rays: np.ndarray


class Teacher(Protocol):
    """Knows what to do."""

    def label(self, view: View) -> Label:
        """What to do here; always with equally many rays."""
        ...
