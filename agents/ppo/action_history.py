"""Action history in the observation: the last goal readings, macro actions and bumps.

A policy that sees only the present frame walks into the same wall again and again. A few steps of history show that it
is stuck, and on which side it was going round. Histories are float32 [steps, numbers] and never changed in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
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
    """Return the history of a view whose agent state is a history, or (history, recurrent memory)."""
    history = view.memory[0] if isinstance(view.memory, tuple) else view.memory
    return empty_history(macro_actions) if history is None else add_bump(history, view.info["blocked"])


def with_history(observation: Any, history: np.ndarray) -> dict[str, Any]:
    """Return an observation with its history; frames alone become ``rgb``."""
    return {**(observation if isinstance(observation, Mapping) else {"rgb": observation}), HISTORY: history.ravel()}


def history_space(macro_actions: MacroActions) -> spaces.Box:
    """Return the space of `HISTORY`."""
    return spaces.Box(-np.inf, np.inf, (empty_history(macro_actions).size,), np.float32)


def mirrored_history(history: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return flattened histories [..., numbers] with left and right exchanged.

    Args:
        history: float32.
        other: int64 [macro actions], the macro action in the mirror of each, on the device of the history.
    """
    rows = history.unflatten(-1, (STEPS, -1)).clone()
    rows[..., 1] *= -1
    rows[..., _ACTIONS:] = rows[..., _ACTIONS:].index_select(-1, other)
    return rows.flatten(-2)


class HistoryBatch:
    """Histories of many episodes on one device, the same numbers as those of the functions above.

    Args:
        episodes: number of episodes.
        macro_actions: macro actions of the action space.
        device: where the histories are.
    """

    def __init__(self, episodes: int, macro_actions: MacroActions, device: torch.device) -> None:
        self._rows = torch.from_numpy(empty_history(macro_actions)).to(device).repeat(episodes, 1, 1)

    @property
    def flat(self) -> torch.Tensor:
        """Flattened histories float32 [n, numbers], a copy."""
        return self._rows.flatten(1).clone()

    def add(self, observations: Mapping[str, torch.Tensor], indices: torch.Tensor, blocked: torch.Tensor) -> None:
        """Add a step of every episode.

        Args:
            observations: what the agent chose from, [n, ...] by key.
            indices: int64 [n], the macro actions.
            blocked: float32 [n], the share of each step that walls refused.
        """
        row = torch.zeros_like(self._rows[:, :1])
        if "pointgoal" in observations:
            distance, bearing = observations["pointgoal"].unbind(-1)
            row[:, 0, :_BUMP] = torch.stack([distance / _FAR, bearing.sin(), bearing.cos()], -1)
        row[:, 0, _BUMP] = blocked
        row[torch.arange(len(row), device=row.device), 0, _ACTIONS + indices] = 1.0
        self._rows = torch.cat([self._rows[:, 1:], row], 1)

    def forget(self, mask: torch.Tensor) -> None:
        """Empty the histories where ``mask`` bool [n] is true."""
        self._rows[mask] = 0.0
