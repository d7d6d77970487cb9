"""Planning by trial: the cross-entropy method over forks of the environment itself.

Rubinstein and Kroese 2004, with one independent categorical distribution over macro actions per step of the plan. Forks
are free (an episode is a value), so that all candidate plans of all episodes are one batch of the world.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from li_env import EpisodeState, View
from li_env.agents.base import DrawingAgent, PlayedEnv
from li_env.agents.macro_actions import MacroActions

_UNIFORM = 0.1  # share of the uniform distribution in the next round: no macro action dies out


class CrossEntropyPlanner(DrawingAgent):
    """Agent that plans a few steps for the task's reward, takes the first macro action, and plans again.

    The next search begins with the plan of the step before, moved on by one step.

    Args:
        env: the environment; it stays where it is.
        macro_actions: choices per step of a plan.
        horizon: steps of a plan.
        candidates: plans tried per round.
        elites: best plans of a round, from which the next round draws.
        rounds: rounds of drawing and trying.
        seed: seed of the draws.

    Raises:
        ValueError: a number below 1, or more elites than candidates.
    """

    def __init__(
        self,
        env: PlayedEnv,
        macro_actions: MacroActions,
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
        self._env, self._macro_actions = env, macro_actions
        self._horizon, self._candidates, self._elites, self._rounds = horizon, candidates, elites, rounds

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """Answer every view; the agent state is the probabilities [horizon, macro actions] of the rest of the plan."""
        count = len(self._macro_actions.table)
        uniform = np.full((self._horizon, count), 1.0 / count)
        probabilities = np.stack([uniform if view.memory is None else view.memory for view in views])
        best, record = np.zeros(len(views), dtype=int), np.full(len(views), -np.inf)
        for _ in range(self._rounds):
            plans = self._draw(views, probabilities)
            returns = self._try([view.state for view in views], plans)
            order = np.argsort(-returns, axis=1, kind="stable")[:, : self._elites]
            elites = np.take_along_axis(plans, order[..., None], axis=1)
            better = returns.max(1) > record
            best, record = np.where(better, elites[:, 0, 0], best), np.maximum(record, returns.max(1))
            shares = (elites[..., None] == np.arange(count)).mean(1)
            probabilities = (1 - _UNIFORM) * shares + _UNIFORM / count
        following = np.concatenate([probabilities[:, 1:], np.repeat(uniform[None, :1], len(views), axis=0)], axis=1)
        return self._macro_actions.actions(best), list(following)

    def _draw(self, views: Sequence[View], probabilities: np.ndarray) -> np.ndarray:
        """Draw plans [views, candidates, horizon] from [views, horizon, macro actions] with each view's generator."""
        ladder = np.cumsum(probabilities, axis=-1)[:, None]
        shape = (self._candidates, self._horizon, 1)
        draws = np.stack([view.generator.random(shape) for view in views])
        return np.minimum((draws >= ladder).sum(-1), probabilities.shape[-1] - 1)

    def _try(self, states: Sequence[EpisodeState], plans: np.ndarray) -> np.ndarray:
        """Return the return [views, candidates] of every plan."""
        views, candidates, horizon = plans.shape
        forks = [state for state in states for _ in range(candidates)]
        returns = np.zeros(views * candidates)
        flat = plans.reshape(-1, horizon)
        going = np.arange(len(forks))
        for step in range(horizon):
            actions = self._macro_actions.actions(flat[going, step])
            after, rewards, *ends = self._env.simulate([forks[index] for index in going], actions)
            for index, state in zip(going.tolist(), after, strict=True):
                forks[index] = state
            returns[going] += rewards
            going = going[~np.logical_or(*ends)]
            if not len(going):
                break
        return returns.reshape(views, candidates)
