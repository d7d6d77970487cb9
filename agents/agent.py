"""What an agent sees and what it answers.

Agents here speak the ``continuous`` action space. Whatever an agent remembers of an episode it hands back with its
action and gets again with the next view, so that one agent plays any number of episodes at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from li_env.episodes import Observation
from li_env.state import SavedState

ACTION_SPACE = "continuous"
"""Of the environments that agents play in."""


@dataclass(frozen=True, eq=False)
class View:
    """One episode at one moment.

    Attributes:
        observation: what the environment shows.
        info: what it tells beside that.
        moment: to fork the world from, for agents that plan in it.
        memory: what the agent gave back with its last action, ``None`` at the start.
    """

    observation: Observation
    info: Mapping[str, Any]
    moment: SavedState
    memory: Any = None


class Agent(Protocol):
    """Acts in many episodes at once."""

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """(an action of the ``continuous`` space, what to remember) for every view."""
        ...
