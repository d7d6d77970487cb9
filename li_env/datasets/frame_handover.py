"""Handover of an episode's frames to another process without pickling them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from li_env.datasets.episode_rows import EpisodeRows


@dataclass(frozen=True)
class SharedFrames:
    """Frames in memory that another process may read for as long as their owner keeps it open.

    Attributes:
        path: of the memory, for a process of the same user.
        shape: of the frames.
    """

    path: str
    shape: tuple[int, ...]

    def joined(self, rows: EpisodeRows) -> EpisodeRows:
        """Return the rows with these frames, which must not be changed.

        Raises:
            OSError: the memory is not there any more.
        """
        return replace(rows, frames=np.asarray(np.memmap(self.path, np.uint8, "r", shape=self.shape)))


@contextmanager
def shared(rows: EpisodeRows) -> Iterator[tuple[EpisodeRows, SharedFrames | None]]:
    """Yield the rows without their frames, and the frames in memory that lasts until the block ends.

    Pickling some megabytes per episode would hold the lock of the interpreter, which the stepping thread needs; writing
    them does not. The memory has no name in any file system, so that a kill leaves nothing behind, and no mount limits
    it. Where the system has no such memory, or none left, the rows come with their frames, and None.
    """
    descriptor = _memory()
    if descriptor is None:
        yield rows, None
        return
    try:
        left = np.ascontiguousarray(rows.frames).data.cast("B")
        while left:
            left = left[os.write(descriptor, left) :]
        path = f"/proc/{os.getpid()}/fd/{descriptor}"
        yield replace(rows, frames=rows.frames[:0]), SharedFrames(path, rows.frames.shape)
    finally:
        os.close(descriptor)


def _memory() -> int | None:
    """Open memory without a name; None where there is none."""
    try:
        return os.memfd_create("li-env-frames")
    except (AttributeError, OSError):
        return None
