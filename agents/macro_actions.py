"""A few whole moves instead of a continuous action: what learners and planners choose from.

One step of a world moves up to four latents (3 m or 60 degrees in the freedoom world). Half moves and half turns are
what arriving within a success radius of half a step needs; arcs walk and turn at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

MACRO_ACTIONS: dict[str, tuple[float, float, float]] = {
    # name: (forward, right, yaw) of the continuous action space
    "forward": (1.0, 0.0, 0.0),
    "half_forward": (0.5, 0.0, 0.0),
    "arc_left": (1.0, 0.0, -0.5),
    "arc_right": (1.0, 0.0, 0.5),
    "turn_left": (0.0, 0.0, -1.0),
    "turn_right": (0.0, 0.0, 1.0),
    "half_turn_left": (0.0, 0.0, -0.5),
    "half_turn_right": (0.0, 0.0, 0.5),
}

STOP = len(MACRO_ACTIONS)
"""Index of ``stop``, the last move where the task has it."""

_NAMES = list(MACRO_ACTIONS)


def move_towards(turn: float, way: float) -> int:
    """Index of the move towards a direction ``turn`` degrees to the right, ``way`` length units of it free."""
    side = "left" if turn < 0 else "right"
    if abs(turn) > 40:
        return _NAMES.index(f"turn_{side}")
    if abs(turn) > 20:
        return _NAMES.index(f"half_turn_{side}")
    # A smaller turn would only be overshot; on a long way an arc corrects it.
    if abs(turn) > 10 and way > 2:
        return _NAMES.index(f"arc_{side}")
    return _NAMES.index("forward" if way > 2 else "half_forward")


class MacroActions:
    """The moves of one action space.

    Args:
        space: a ``continuous`` action space of this package, with or without pitch.
        can_stop: whether its last number is ``stop``.

    Attributes:
        table: [moves, numbers] float32, the continuous action of every move.
        space: the choice between them.
    """

    def __init__(self, space: spaces.Space[Any], can_stop: bool) -> None:
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise ValueError(f"action space {space} is not usable; allowed: action_space='continuous'")
        self.table = np.zeros((len(MACRO_ACTIONS) + can_stop, *space.shape), dtype=np.float32)
        self.table[: len(MACRO_ACTIONS), :3] = list(MACRO_ACTIONS.values())
        if can_stop:
            self.table[-1, -1] = 1.0
        self.space = spaces.Discrete(len(self.table))

    def mirrored(self) -> np.ndarray:
        """[moves] int: what every move is in a mirror, left and right exchanged."""
        other = [name.replace("left", "*").replace("right", "left").replace("*", "right") for name in MACRO_ACTIONS]
        return np.array([*map(list(MACRO_ACTIONS).index, other), *range(len(MACRO_ACTIONS), len(self.table))])

    def actions(self, choices: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """Continuous actions of chosen moves."""
        return [self.table[int(choice)].copy() for choice in choices]
