"""Memory for the frames of episodes that are recorded: used again and again, and readable by other processes.

A world that makes thousands of frames per second fills some hundred megabytes per second. Memory that comes from the
system for every episode and goes back after it costs the stepping thread more than the copies themselves: the system
clears every page anew. So episodes take turns in the same memory, and a thread of its own copies their frames there.
"""

from __future__ import annotations

import mmap
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np

from li_env.datasets.episode_rows import SharedFrames

_WAITING = 4
"""Steps whose frames wait to be copied, before the stepping thread waits too."""


class EpisodeFrames:
    """Frames of one episode, in the order in which they are added through `FrameStore.keep`.

    Their memory is given to another episode when nobody holds this object or an array of it.
    """

    def __init__(self, block: _Block, slot: int, free: deque[tuple[_Block, int]]) -> None:
        self._block, self._slot, self._free, self._count = block, slot, free, 0
        self.copies: list[Future[None]] = []

    def __del__(self) -> None:
        self._block.spare(self._slot, self._count)
        self._free.append((self._block, self._slot))

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """Describe all room there is: arrays that NumPy makes of it keep this object."""
        return self._block.memory[self._slot].__array_interface__

    def reserve(self, count: int) -> int:
        """Make room for the next ``count`` frames and return the index of the first.

        Raises:
            ValueError: an episode of more frames than the store was made for.
        """
        first, self._count = self._count, self._count + count
        most = self._block.memory.shape[1]
        if self._count > most:
            raise ValueError(f"an episode has {self._count} frames; allowed here: at most {most}")
        return first

    def write(self, first: int, frames: np.ndarray) -> None:
        """Copy frames [n, H, W, 3] into the room that was made for them."""
        np.copyto(self._block.memory[self._slot, first : first + len(frames)], frames)

    def array(self) -> np.ndarray:
        """Return all frames added so far, uint8 [n, H, W, 3], once they are there: no copy, not to be changed."""
        for copy in self.copies:
            copy.result()
        self.copies.clear()
        return np.asarray(self)[: self._count]

    @property
    def shared(self) -> SharedFrames | None:
        """Where another process finds the frames while somebody here holds them; None where memory is not shared."""
        block = self._block
        if block.path is None:
            return None
        shape = (self._count, *block.memory.shape[2:])
        return SharedFrames(block.path, self._slot * block.memory.strides[0], shape)


class FrameStore:
    """Memory for the frames of the episodes that are played or waiting, and the thread that copies frames into it.

    Args:
        frames: most frames of an episode.
        shape: (height, width, 3) of a frame.
        episodes: how many have their frames here at a time, as a rule; more get memory too.
    """

    def __init__(self, frames: int, shape: tuple[int, ...], episodes: int) -> None:
        self._shape = (episodes, frames, *shape)
        self._free: deque[tuple[_Block, int]] = deque()
        self._copier = ThreadPoolExecutor(1, "li-env-frames")
        self._waiting: deque[Future[None]] = deque()

    def take(self) -> EpisodeFrames:
        """Return room for an episode."""
        while True:
            try:
                return EpisodeFrames(*self._free.popleft(), self._free)
            except IndexError:
                block = _Block(self._shape)
                self._free.extend((block, slot) for slot in range(len(block.memory)))

    def keep(self, added: Sequence[tuple[EpisodeFrames, np.ndarray]]) -> None:
        """Add frames to episodes soon; they must not change any more.

        Args:
            added: episodes, and frames uint8 [n, H, W, 3] of each.
        """
        # Whoever copies holds the episodes: the memory of one that is dropped meanwhile is not given to another yet.
        parts = [(episode, episode.reserve(len(frames)), frames) for episode, frames in added]
        copy = self._copier.submit(_write, parts)
        for episode, _ in added:
            episode.copies.append(copy)
        self._waiting.append(copy)
        if len(self._waiting) > _WAITING:
            self._waiting.popleft().result()


class _Block:
    """Memory for several episodes at once, without a name in any file system, so that a kill leaves nothing behind.

    Attributes:
        memory: uint8 [episodes, frames, H, W, 3]; pages that no frame has touched take no room. Where memory cannot be
            shared it is for one episode.
        path: of the memory, for a process of the same user; None where it is not shared.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._episodes, self._used = 0, 0
        self._bytes = -(-prod(shape[1:]) // mmap.PAGESIZE) * mmap.PAGESIZE
        self._map, self._descriptor = _shared_memory(self._bytes * shape[0])
        if self._map is None:
            self.path, self.memory = None, np.empty((1, *shape[1:]), np.uint8)
        else:
            self.path = f"/proc/{os.getpid()}/fd/{self._descriptor}"
            strides = np.empty((1, *shape[2:]), np.uint8).strides
            self.memory = np.ndarray(shape, np.uint8, self._map, strides=(self._bytes, *strides))

    def __del__(self) -> None:
        if self._map is not None:
            os.close(self._descriptor)

    def spare(self, slot: int, count: int) -> None:
        """Give memory back to the system where an episode of ``count`` frames needed much more than others."""
        used = count * self.memory[0, 0].nbytes
        self._episodes, self._used = self._episodes + 1, self._used + used
        usual = -(-self._used // self._episodes // mmap.PAGESIZE) * mmap.PAGESIZE
        if self._map is not None and used > 2 * usual:
            with suppress(AttributeError, OSError):  # not every system can do that
                self._map.madvise(mmap.MADV_REMOVE, slot * self._bytes + usual, self._bytes - usual)


def _shared_memory(size: int) -> tuple[mmap.mmap | None, int]:
    """Return memory that other processes can map, and its descriptor; None where there is no such memory."""
    try:
        descriptor = os.memfd_create("li-env-frames")
    except (AttributeError, OSError):
        return None, -1
    try:
        os.ftruncate(descriptor, size)
        return mmap.mmap(descriptor, size), descriptor
    except (OSError, OverflowError):
        os.close(descriptor)
        return None, -1


def _write(parts: Sequence[tuple[EpisodeFrames, int, np.ndarray]]) -> None:
    for episode, first, frames in parts:
        episode.write(first, frames)
