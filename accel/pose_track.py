"""Poses and motions of an episode's latents so far."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np


class _PoseBuffer:
    """Storage of poses, and how much of it the longest track that shares it uses."""

    def __init__(self, capacity: int) -> None:
        self.poses = np.empty((capacity, 4, 4))
        self.rays = np.empty((6, capacity))
        self.used = 0


class PoseTrack:
    """Camera-to-world poses of the latents so far; append-only, a fork is another reference."""

    __slots__ = ("_buffer", "_length")

    def __init__(self, poses: np.ndarray | None = None) -> None:
        self._buffer, self._length = _PoseBuffer(16), 0
        if poses is not None:
            grown = self.append(poses)
            self._buffer, self._length = grown._buffer, grown._length

    def __len__(self) -> int:
        return self._length

    @property
    def poses(self) -> np.ndarray:
        """All poses [n, 4, 4] float64, read-only, without a copy."""
        view = self._buffer.poses[: self._length]
        view.flags.writeable = False
        return view

    def poses_at(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the poses [m, 4, 4] of latents that exist: new arrays."""
        numbers = indices if isinstance(indices, np.ndarray) else _index(tuple(indices))
        return self._buffer.poses.take(numbers, axis=0)

    def rays(self, start: int, stop: int, step: int = 1) -> np.ndarray:
        """Return directions of view, then positions, of latents [6, n], read-only: a compact copy for searches."""
        view = self._buffer.rays[:, start : min(stop, self._length) : step]
        view.flags.writeable = False
        return view

    def append(self, poses: np.ndarray) -> PoseTrack:
        """Return this track followed by ``poses`` [n, 4, 4]; amortised cost O(n)."""
        poses = np.asarray(poses, dtype=np.float64)
        if poses.ndim != 3 or poses.shape[1:] != (4, 4):
            raise ValueError(f"poses: shape {poses.shape} is not [n, 4, 4]")
        buffer, length = self._buffer, self._length + len(poses)
        if buffer.used != self._length or length > len(buffer.poses):
            buffer = _PoseBuffer(max(2 * length, 16))
            buffer.poses[: self._length] = self._buffer.poses[: self._length]
            buffer.rays[:, : self._length] = self._buffer.rays[:, : self._length]
        buffer.poses[self._length : length] = poses
        buffer.rays[:, self._length : length] = poses[:, :3, 2:].transpose(2, 1, 0).reshape(6, -1)
        buffer.used = length
        track = PoseTrack.__new__(PoseTrack)
        track._buffer, track._length = buffer, length
        return track


@lru_cache(maxsize=4096)
def _index(indices: tuple[int, ...]) -> np.ndarray:
    """Return an index array, cached because many episodes look at the same latents."""
    return np.array(indices, dtype=np.intp)
