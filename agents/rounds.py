"""Training in rounds: play whole episodes, learn from what was seen, play on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from li_env import View, play_episodes
from li_env.rollouts import Act, Environment


class Rounds:
    """Whole episodes of one environment, one round after another.

    Every episode of a training has its own number, so that no round repeats the draws of an earlier round.

    Args:
        env: environment that steps the episodes; every episode draws its start.
        num_envs: most episodes that step together.
        max_episode_steps: steps until an episode is cut.
        seed: seed of the episodes and of the policy's draws.

    Attributes:
        steps: environment steps so far, over all episodes.
    """

    def __init__(self, env: Environment, num_envs: int, max_episode_steps: int, seed: int) -> None:
        self._env, self._num_envs, self._limit, self._seed = env, num_envs, max_episode_steps, seed
        self._episodes, self.steps = 0, 0

    def play(self, act: Act, steps: int) -> None:
        """Begin episodes until all rounds together have ``steps`` steps, at least one episode, and end them all.

        A round has a few steps more than it was asked for, because no episode is cut at the end of a round.
        """

        def counted(views: Sequence[View]) -> Any:
            self.steps += len(views)
            return act(views)

        def options() -> Iterator[dict[str, Any]]:
            yield {}
            while self.steps < steps:
                yield {}

        for _ in play_episodes(
            self._env,
            counted,
            options(),
            max_steps=self._limit,
            seed=self._seed,
            agent_seed=self._seed,
            batch=self._num_envs,
            numbers=count(self._episodes),
        ):
            self._episodes += 1
