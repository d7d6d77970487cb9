"""Numbers of episodes that are planned together, and by which a world chooses the size of its micro-batches.

Micro-batches of another size round differently. If a world chose their size by the episodes of one call, the frames of
one episode would change when another episode stops or is reset. So the engine sets the number that its environment
holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

FIRST_MICRO_BATCH = 64
"""Episodes planned before a streaming world can start: a GPU with work to do hides the planning of the others."""

PLANNER_MICRO_BATCH = 128
"""Episodes planned at a time: a streaming world starts on the first micro-batch while later ones are being planned."""

_EPISODES: ContextVar[int] = ContextVar("_EPISODES", default=0)


@contextmanager
def episodes_together(count: int) -> Iterator[None]:
    """Let worlds expect ``count`` episodes inside the ``with`` statement, however few a call brings."""
    token = _EPISODES.set(count)
    try:
        yield
    finally:
        _EPISODES.reset(token)


def expected_episodes(count: int) -> int:
    """Return the number of episodes to expect where a call brings ``count``."""
    return max(count, _EPISODES.get())
