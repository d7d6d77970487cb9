"""Heuristic agents: at random, mostly forward, straight to the goal until a wall blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from li_env import View, WorldSpec
from li_env.agents.base import DrawingAgent
from li_env.agents.constants import BUMP
from li_env.agents.macro_actions import MacroActions


class RandomAgent(DrawingAgent):
    """Agent that takes any macro action with equal probability, ``stop`` included.

    Args:
        macro_actions: choices.
        seed: seed of the draws.
    """

    def __init__(self, macro_actions: MacroActions, seed: int = 0) -> None:
        super().__init__(seed)
        self._macro_actions = macro_actions

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        indices = [int(view.generator.integers(len(self._macro_actions.table))) for view in views]
        return self._macro_actions.actions(indices), [None] * len(views)


class RandomForwardAgent(DrawingAgent):
    """Scripted explorer that walks on, and turns at walls and at random.

    Args:
        size: numbers of a continuous action; those beyond forward, right and yaw stay 0.
        seed: seed of the draws.
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        super().__init__(seed)
        self._size = size

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """Answer every view; the agent state is the side to which the agent turns until it can walk on."""
        actions, sides = [], []
        for view in views:
            action, side = np.zeros(self._size, np.float32), view.memory
            if view.info["blocked"] > BUMP or view.generator.random() < 0.1:
                side = side or view.generator.choice([-1.0, 1.0])
                action[2] = side
            else:
                side, action[0] = None, 1.0
                action[2] = view.generator.uniform(-0.3, 0.3)
            actions.append(action)
            sides.append(side)
        return actions, sides


@dataclass(frozen=True)
class _Detour:
    """Detour around an obstacle: the side to turn to, and the steps still to walk."""

    side: float
    steps: int


class GoalFollower(DrawingAgent):
    """PointGoal agent that turns to the goal and walks.

    After a bump it turns aside, walks two steps and tries again.

    Args:
        spec: constants of the world; they say how far a step goes.
        size: numbers of a continuous action, the last one ``stop``.
        arrival: distance to the goal, in length units, below which the agent stops.
        seed: seed of the sides that the agent turns to.
    """

    def __init__(self, spec: WorldSpec, size: int, arrival: float, seed: int = 0) -> None:
        super().__init__(seed)
        self._spec, self._size, self._arrival = spec, size, arrival

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """Answer every view; the agent state is the current detour."""
        answers = [self._answer(view) for view in views]
        return [action for action, _ in answers], [detour for _, detour in answers]

    def _answer(self, view: View) -> tuple[np.ndarray, _Detour | None]:
        assert isinstance(view.observation, dict)
        distance, bearing = view.observation["pointgoal"].tolist()
        action, detour = np.zeros(self._size, np.float32), view.memory
        if distance < self._arrival:
            action[-1] = 1.0
        elif view.info["blocked"] > BUMP:
            side = view.generator.choice([-1.0, 1.0]) if detour is None else detour.side
            action[2], detour = side, _Detour(side, 2)
        elif detour is not None and detour.steps:
            action[0], detour = 1.0, _Detour(detour.side, detour.steps - 1)
        else:
            latents = self._spec.latents_in_chunk(view.info["chunk"]) - (view.info["chunk"] == 0)
            turn = np.degrees(bearing) / (latents * self._spec.motion.rotation)
            action[2] = np.clip(turn, -1, 1)
            if abs(np.degrees(bearing)) < 20:
                action[0] = min(1.0, distance / (latents * self._spec.motion.translation))
            detour = None
        return action, detour
