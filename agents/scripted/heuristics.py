"""Agents that learn nothing: at random, wandering, and walking straight to the goal until something is in the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from li_env.accel.world_spec import WorldSpec
from li_env.agents.base import DrawingAgent
from li_env.agents.constants import BUMP
from li_env.agents.macro_actions import MacroActions
from li_env.rollouts import View


class RandomAgent(DrawingAgent):
    """Any move with equal chance, ``stop`` included.

    Args:
        moves: to choose from.
        seed: of the choices.
    """

    def __init__(self, moves: MacroActions, seed: int = 0) -> None:
        super().__init__(seed)
        self._moves = moves

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """See `li_env.agents.base.Agent`."""
        choices = [int(view.generator.integers(len(self._moves.table))) for view in views]
        return self._moves.actions(choices), [None] * len(views)


class RandomForwardAgent(DrawingAgent):
    """Walks on, turns away from walls and now and then for no reason: a scripted explorer.

    Args:
        size: numbers of a continuous action (the last ones, beyond forward, right and yaw, stay 0).
        seed: of the choices.
    """

    def __init__(self, size: int, seed: int = 0) -> None:
        super().__init__(seed)
        self._size = size

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """The memory is the side to which it turns until the way is free."""
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
    """Steps still to walk past something in the way, on which side."""

    side: float
    steps: int


class GoalFollower(DrawingAgent):
    """Turns to the goal and walks; after a bump it turns aside, walks a little and tries again. PointGoal only.

    Args:
        spec: of the world: how far a step goes.
        size: numbers of a continuous action, the last one ``stop``.
        arrival: stops within this distance of the goal, in length units.
        seed: of the sides it takes.
    """

    def __init__(self, spec: WorldSpec, size: int, arrival: float, seed: int = 0) -> None:
        super().__init__(seed)
        self._spec, self._size, self._arrival = spec, size, arrival

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """The memory is the detour it is on."""
        answers = [self._answer(view) for view in views]
        return [action for action, _ in answers], [memory for _, memory in answers]

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
