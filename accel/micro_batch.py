"""Number of episodes by which a world chooses the size of its micro-batches.

Micro-batches of another size round differently. If a world chose their size by the episodes of one call, the frames of
one episode would change when another episode stops or is reset. So the engine sets the number that its environment
holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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
