"""Action history in the observation: the last goal readings, macro actions and bumps.

A policy that sees only the present frame walks into the same wall again and again. A few steps of history show that it
is stuck, and on which side it was going round. Histories are float32 [steps, numbers] and never changed in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from li_env import View
from li_env.agents.macro_actions import MacroActions

STEPS = 8
"""Length of a history."""

HISTORY = "history"
"""Key of the flattened history in the observation, float32 [numbers]; zeros before the start of the episode."""

_BUMP = 3  # column of the bump; the goal stands before it: distance, sine and cosine of the bearing
_ACTIONS = 4  # first column of the macro action, one-hot
_FAR = 10.0  # length units that make a distance of 1


def empty_history(macro_actions: MacroActions) -> np.ndarray:
    """Return the history at the start of an episode."""
    return np.zeros((STEPS, _ACTIONS + len(macro_actions.table)), np.float32)


def add_bump(history: np.ndarray, blocked: float) -> np.ndarray:
    """Return the history with the share of the last step that walls refused (``info["blocked"]``)."""
    added = history.copy()
    added[-1, _BUMP] = blocked
    return added


def add_action(history: np.ndarray, observation: Mapping[str, Any], index: int) -> np.ndarray:
    """Return the history after a macro action.

    Args:
        history: history before the macro action, with the bump of the step before (`add_bump`).
        observation: Dict observation that the agent chose from.
        index: index of the macro action.
    """
    row = np.zeros((1, history.shape[1]), np.float32)
    if "pointgoal" in observation:
        distance, bearing = observation["pointgoal"]
        row[0, :_BUMP] = distance / _FAR, np.sin(bearing), np.cos(bearing)
    row[0, _ACTIONS + index] = 1.0
    return np.concatenate([history[1:], row])


def history_of(view: View, macro_actions: MacroActions) -> np.ndarray:
    """Return the history of a view whose agent state is a history."""
    return empty_history(macro_actions) if view.memory is None else add_bump(view.memory, view.info["blocked"])


def with_history(observation: Any, history: np.ndarray) -> dict[str, Any]:
    """Return a Dict observation with its history."""
    return {**observation, HISTORY: history.ravel()}


def history_space(macro_actions: MacroActions) -> spaces.Box:
    """Return the space of `HISTORY`."""
    return spaces.Box(-np.inf, np.inf, (empty_history(macro_actions).size,), np.float32)


def mirrored_history(history: np.ndarray, macro_actions: MacroActions) -> np.ndarray:
    """Return flattened histories [n, numbers] with left and right exchanged."""
    rows = history.reshape(len(history), STEPS, -1).copy()
    rows[..., 1] *= -1
    rows[..., _ACTIONS:] = rows[..., _ACTIONS + macro_actions.mirrored()]
    return rows.reshape(history.shape)
