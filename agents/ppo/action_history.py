"""A short memory in the observation: where the goal was, what the agent did in the last steps and whether it bumped.

A policy that sees only the present frame walks into the same wall again and again. A few steps of goal readings, moves
and bumps tell it that it is stuck and which way it was going round. Memories are arrays [steps, numbers], never changed
in place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from li_env.agents.macro_actions import MacroActions

STEPS = 8
"""How far back it goes."""

_BUMP = 3  # after the numbers for the goal: distance, sine and cosine of the bearing
_MOVES = 4
_FAR = 10.0  # length units that make a distance of 1

HISTORY = "history"
"""Its name in the observation, float32 [numbers]; zeros where an episode has not lasted that long."""


def no_memory(moves: MacroActions) -> np.ndarray:
    """At the start of an episode."""
    return np.zeros((STEPS, _MOVES + len(moves.table)), np.float32)


def recall(memory: np.ndarray, blocked: float) -> np.ndarray:
    """The memory, once it is known which share of the last way walls refused (``info["blocked"]``)."""
    recalled = memory.copy()
    recalled[-1, _BUMP] = blocked
    return recalled


def remember(memory: np.ndarray, observation: dict[str, Any], choice: int) -> np.ndarray:
    """After making move ``choice`` at ``observation``; ``memory`` as `recall` gave it there."""
    row = np.zeros((1, memory.shape[1]), np.float32)
    if "pointgoal" in observation:
        distance, bearing = observation["pointgoal"]
        row[0, :_BUMP] = distance / _FAR, np.sin(bearing), np.cos(bearing)
    row[0, _MOVES + choice] = 1.0
    return np.concatenate([memory[1:], row])


def history_space(moves: MacroActions) -> spaces.Box:
    """Of the observation's part."""
    return spaces.Box(-np.inf, np.inf, (no_memory(moves).size,), np.float32)


def mirrored_history(history: np.ndarray, moves: MacroActions) -> np.ndarray:
    """Histories [n, numbers] with left and right exchanged."""
    rows = history.reshape(len(history), STEPS, -1).copy()
    rows[..., 1] *= -1
    rows[..., _MOVES:] = rows[..., _MOVES + moves.mirrored()]
    return rows.reshape(history.shape)
