"""Macro actions: whole moves made of continuous actions, among which learners and planners choose.

One environment step moves the camera by up to four latents (3 m or 60 degrees in the freedoom world). The success
radius is half a step, so that arriving needs half moves and half turns. Arcs walk and turn at once.
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
"""Index of ``stop``, the last macro action where the task has it."""

_NAMES = list(MACRO_ACTIONS)


def macro_action_towards(turn: float, clearance: float) -> int:
    """Return the index of the macro action towards a direction.

    Args:
        turn: angle to the direction in degrees, positive to the right.
        clearance: room ahead in that direction, in length units.
    """
    side = "left" if turn < 0 else "right"
    if abs(turn) > 40:
        return _NAMES.index(f"turn_{side}")
    if abs(turn) > 20:
        return _NAMES.index(f"half_turn_{side}")
    # A half turn would overshoot a smaller angle; where there is room, an arc corrects it.
    if abs(turn) > 10 and clearance > 2:
        return _NAMES.index(f"arc_{side}")
    return _NAMES.index("forward" if clearance > 2 else "half_forward")


class MacroActions:
    """Macro actions of one action space.

    Args:
        space: a ``continuous`` action space of this package, with or without pitch.
        can_stop: whether the last number of an action is ``stop``.

    Attributes:
        table: float32 [macro actions, numbers], the continuous action of every macro action.
        space: the discrete space of their indices.

    Raises:
        ValueError: another action space.
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
        """Return, for every index, the index with left and right exchanged: int [macro actions]."""
        other = [name.replace("left", "*").replace("right", "left").replace("*", "right") for name in MACRO_ACTIONS]
        return np.array([*map(_NAMES.index, other), *range(len(MACRO_ACTIONS), len(self.table))])

    def actions(self, indices: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """Return the continuous actions of macro actions."""
        return [self.table[int(index)].copy() for index in indices]

    def nearest(self, actions: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """Return the index [n] of the macro action nearest to each continuous action."""
        distances = np.square(np.asarray(actions)[:, None] - self.table[None]).sum(-1)
        return distances.argmin(1)
