"""Episodes for training in rounds: play, learn from what was seen, play on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from li_env.episodes import EpisodeRunner
from li_env.rollouts import Act, View, play_episodes


class Rounds:
    """Whole episodes of one world, one round after another.

    Every episode of a training has a number of its own, so that no round repeats what an earlier one drew.

    Args:
        rules: the world and its task; every episode draws its start.
        worlds: most episodes that step together.
        max_episode_steps: until an episode is cut.
        seed: of the episodes and of the policy's draws.

    Attributes:
        steps: made so far, over all episodes.
    """

    def __init__(self, rules: EpisodeRunner, worlds: int, max_episode_steps: int, seed: int) -> None:
        self._rules, self._worlds, self._limit, self._seed = rules, worlds, max_episode_steps, seed
        self._episodes, self.steps = 0, 0

    def play(self, act: Act, steps: int) -> None:
        """Begin episodes until ``steps`` have been made in all rounds together, at least one, and end them all.

        So a round makes a few steps more than it was asked for, and no episode is cut because a round is over.
        """

        def counted(views: Sequence[View]) -> Any:
            self.steps += len(views)
            return act(views)

        def options() -> Iterator[dict[str, Any]]:
            yield {}
            while self.steps < steps:
                yield {}

        for _ in play_episodes(
            self._rules,
            counted,
            options(),
            max_steps=self._limit,
            seed=self._seed,
            agent_seed=self._seed,
            batch=self._worlds,
            numbers=count(self._episodes),
        ):
            self._episodes += 1
