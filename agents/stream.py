"""Episodes without end: worlds that begin anew whenever they are over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from li_env.episodes import Episodes
from li_env.state import SavedState


class EpisodeStream:
    """Worlds that step together.

    Args:
        rules: the world and its task.
        worlds: how many.
        max_episode_steps: until an episode is cut.
        seed: world i draws its episodes from the generator of (seed, i).

    Attributes:
        moments: where every world is.
    """

    def __init__(self, rules: Episodes, worlds: int, max_episode_steps: int, seed: int) -> None:
        self._rules, self._most = rules, max_episode_steps
        self._generators = [np.random.default_rng([seed, world]) for world in range(worlds)]
        self.moments: list[SavedState] = rules.start(self._generators, [{}] * worlds)
        self._steps = [0] * worlds

    def advance(self, actions: Sequence[np.ndarray]) -> list[int]:
        """Step every world; returns those that were over and are at the start of another episode now."""
        self.moments = self._rules.step(self.moments, actions)
        self._steps = [count + 1 for count in self._steps]
        ended = [
            world
            for world, now in enumerate(self.moments)
            if self._rules.terminated(now) or self._rules.truncated(now) or self._steps[world] == self._most
        ]
        fresh = self._rules.start([self._generators[world] for world in ended], [{}] * len(ended)) if ended else []
        for world, now in zip(ended, fresh, strict=True):
            self.moments[world], self._steps[world] = now, 0
        return ended
