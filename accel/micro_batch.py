"""How many episodes a world should reckon with when it chooses the size of its micro-batches.

Micro-batches of another size round differently. If a world chose their size by the episodes of one call, an episode's
frames would change when another one stops or is reset. So the engine says how many its environment holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_EPISODES: ContextVar[int] = ContextVar("_EPISODES", default=0)


@contextmanager
def episodes_together(count: int) -> Iterator[None]:
    """Let worlds reckon with ``count`` episodes inside the block, however few a call brings."""
    token = _EPISODES.set(count)
    try:
        yield
    finally:
        _EPISODES.reset(token)


def reckoned(count: int) -> int:
    """The number of episodes to reckon with in a call that brings ``count``."""
    return max(count, _EPISODES.get())
