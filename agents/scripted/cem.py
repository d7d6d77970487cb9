"""Planning by trying: the cross-entropy method over forks of the world itself.

Rubinstein and Kroese 2004 with one independent categorical distribution over moves per step of the plan. Forks are free
(an episode is a value), so that all candidate plans of all episodes are one batch of the world.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from li_env.agents.base import DrawingAgent
from li_env.agents.macro_actions import MacroActions
from li_env.episodes import EpisodeRunner
from li_env.rollouts import View
from li_env.state import EpisodeState


class CrossEntropyPlanner(DrawingAgent):
    """Plans a few steps ahead for the task's reward, makes the first move, and plans again.

    The plan of the step before, moved on by one, is where the next search begins.

    Args:
        rules: the world and task in which the episodes run; the planner forks there.
        moves: to choose from.
        horizon: steps of a plan.
        candidates: plans tried per round.
        elites: best plans of a round, from which the next round draws.
        rounds: of drawing and trying.
        seed: of the drawing.

    Raises:
        ValueError: a number below 1, or more elites than candidates.
    """

    def __init__(
        self,
        rules: EpisodeRunner,
        moves: MacroActions,
        horizon: int = 3,
        candidates: int = 16,
        elites: int = 4,
        rounds: int = 2,
        seed: int = 0,
    ) -> None:
        for name, value in (("horizon", horizon), ("candidates", candidates), ("elites", elites), ("rounds", rounds)):
            if value < 1:
                raise ValueError(f"{name}={value} is not allowed; use a whole number from 1 up")
        if elites > candidates:
            raise ValueError(f"elites={elites} is not allowed; use at most candidates={candidates}")
        super().__init__(seed)
        self._rules, self._moves = rules, moves
        self._horizon, self._candidates, self._elites, self._rounds = horizon, candidates, elites, rounds

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """The memory is the distribution [horizon, moves] over the rest of the plan."""
        count = len(self._moves.table)
        uniform = np.full((self._horizon, count), 1.0 / count)
        chances = np.stack([uniform if view.memory is None else view.memory for view in views])
        best, record = np.zeros(len(views), dtype=int), np.full(len(views), -np.inf)
        for _ in range(self._rounds):
            plans = self._draw(views, chances)
            returns = self._try([view.moment for view in views], plans)
            order = np.argsort(-returns, axis=1, kind="stable")[:, : self._elites]
            chosen = np.take_along_axis(plans, order[..., None], axis=1)
            better = returns.max(1) > record
            best, record = np.where(better, chosen[:, 0, 0], best), np.maximum(record, returns.max(1))
            shares = (chosen[..., None] == np.arange(count)).mean(1)
            chances = 0.9 * shares + 0.1 / count
        following = np.concatenate([chances[:, 1:], np.repeat(uniform[None, :1], len(views), axis=0)], axis=1)
        return self._moves.actions(best), list(following)

    def _draw(self, views: Sequence[View], chances: np.ndarray) -> np.ndarray:
        """Plans [views, candidates, horizon] from [views, horizon, moves], each drawn from the view's generator."""
        ladder = np.cumsum(chances, axis=-1)[:, None]
        shape = (self._candidates, self._horizon, 1)
        draws = np.stack([view.generator.random(shape) for view in views])
        return np.minimum((draws >= ladder).sum(-1), chances.shape[-1] - 1)

    def _try(self, moments: Sequence[EpisodeState], plans: np.ndarray) -> np.ndarray:
        """Return [views, candidates] of every plan."""
        views, candidates, horizon = plans.shape
        forks = [moment for moment in moments for _ in range(candidates)]
        returns = np.zeros(views * candidates)
        flat = plans.reshape(-1, horizon)
        going = np.arange(len(forks))
        for step in range(horizon):
            after = self._rules.step([forks[index] for index in going], self._moves.actions(flat[going, step]))
            for index, moment in zip(going.tolist(), after, strict=True):
                forks[index] = moment
                returns[index] += self._rules.reward(moment)
            going = np.array(
                [i for i in going if not (self._rules.terminated(forks[i]) or self._rules.truncated(forks[i]))], int
            )
            if not len(going):
                break
        return returns.reshape(views, candidates)
