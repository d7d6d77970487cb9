"""History of an episode: latents, poses and motions so far, shared between forks.

Both classes behave like immutable values. Appending works like a slice in Go: the newest value writes into spare room
behind its end, in place; only when another fork has already used that room is the shared part copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Generic, TypeVar

import numpy as np
import torch

from li_env.accel.geometry.camera import STILL, CameraMotion
from li_env.accel.pose_track import PoseTrack

Item = TypeVar("Item")


class _SharedList(Generic[Item]):
    """Append-only list with the sharing of `PoseTrack`."""

    __slots__ = ("_items", "_length")

    def __init__(self, items: list[Item] | None = None, length: int = 0) -> None:
        self._items, self._length = ([] if items is None else items), length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Item:
        if not 0 <= index < self._length:
            raise IndexError(index)
        return self._items[index]

    @property
    def items(self) -> list[Item]:
        """Shared list, which may go on beyond the end of this one; for reading only."""
        return self._items

    def extend(self, items: Iterable[Item]) -> _SharedList[Item]:
        kept = self._items if len(self._items) == self._length else self._items[: self._length]
        kept.extend(items)
        return _SharedList(kept, len(kept))


@dataclass(frozen=True, eq=False)
class History:
    """Latents, poses and motions of one episode.

    Chunk 0 may be of any length; all later chunks have a common length. Tensors put in must not be changed
    afterwards.

    Attributes:
        track: poses of all latents.
        latent_change: mean squared difference between successive chunks, smoothed; None before there are two chunks.
    """

    track: PoseTrack = field(default_factory=PoseTrack)
    latent_change: float | None = None
    _chunks: _SharedList[torch.Tensor] = field(default_factory=_SharedList)
    _motions: _SharedList[CameraMotion] = field(default_factory=_SharedList)

    def __len__(self) -> int:
        """Return the number of latents."""
        return len(self.track)

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return len(self._chunks)

    @property
    def poses(self) -> np.ndarray:
        """Poses of all latents [n, 4, 4], read-only."""
        return self.track.poses

    @property
    def motions(self) -> tuple[CameraMotion, ...]:
        """All realised motions in order, one per latent after the first."""
        return tuple(self._motions[index] for index in range(len(self._motions)))

    def motions_to(self, indices: Sequence[int]) -> tuple[CameraMotion, ...]:
        """Return the motions that led to the latents with these indices; standing still for the first latent.

        Raises:
            IndexError: an index outside the history.
        """
        if indices and not 0 <= min(indices) <= max(indices) <= len(self._motions):
            raise IndexError(f"indices: {indices!r} reach outside the history of {len(self)} latents")
        items = self._motions.items
        return tuple([items[index - 1] if index else STILL for index in indices])

    @property
    def last_chunk(self) -> torch.Tensor | None:
        """Latents [n, C, h, w] of the newest chunk; None at the start."""
        return self._chunks[self.chunks - 1] if self.chunks else None

    def with_latent_change(self, latent_change: float | None) -> History:
        """Return the same history with another ``latent_change``."""
        return History(self.track, latent_change, self._chunks, self._motions)

    def append(
        self,
        latents: torch.Tensor,
        poses: np.ndarray,
        motions: Sequence[CameraMotion],
    ) -> History:
        """Return this history followed by one chunk: ``latents`` [n, C, h, w], ``poses`` [n, 4, 4]; amortised O(n).

        ``latent_change`` stays as it is.

        Raises:
            ValueError: lengths differ from each other or from the earlier chunks after the first.
        """
        count = latents.shape[0]
        if count == 0 or count != len(poses):
            raise ValueError(f"latents: {count} for {len(poses)} poses; use one per pose and at least one")
        if self.chunks > 1 and count != self._chunks[1].shape[0]:
            raise ValueError(f"latents: {count} in this chunk, {self._chunks[1].shape[0]} in the chunks before")
        expected = count - (1 if self.chunks == 0 else 0)
        if len(motions) != expected:
            raise ValueError(f"motions: {len(motions)} given, {expected} lead to the poses of this chunk")
        chunks, longer = self._chunks.extend([latents]), self._motions.extend(motions)
        return History(self.track.append(poses), self.latent_change, chunks, longer)

    def latents(self, indices: Sequence[int]) -> torch.Tensor:
        """Return the latents [m, C, h, w] with these indices, in this order.

        Raises:
            IndexError: an index outside the history, or no index at all.
        """
        if len(indices) == 0:
            raise IndexError("indices: empty; at least one latent must be asked for")
        parts = self.pieces(indices)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def pieces(self, indices: Sequence[int]) -> list[torch.Tensor]:
        """Return the tensors that `latents` joins: whole chunks where ``indices`` has whole chunks, no copies.

        Raises:
            IndexError: an index outside the history.
        """
        chunks, count = self._chunks.items, len(self._chunks)
        first = chunks[0].shape[0] if count else 0
        size = chunks[1].shape[0] if count > 1 else 1
        # Nearly always whole chunks are wanted.
        return [
            chunks[chunk] if stop is None else chunks[chunk][start:stop]
            for chunk, start, stop in _pieces(tuple(indices), len(self.track), first, size)
        ]


@lru_cache(maxsize=16384)
def _pieces(wanted: tuple[int, ...], length: int, first: int, size: int) -> list[tuple[int, int, int | None]]:
    """Cut latent indices into pieces of chunks: (chunk, start, stop), without stop for a whole chunk.

    Cached because many episodes want the same latents: they are at one length.

    Args:
        wanted: the indices.
        length: of the history.
        first: latents of chunk 0.
        size: latents of the other chunks.
    """
    runs: list[list[int]] = []  # chunk, start, stop
    chunk = stop = -1
    for index in wanted:
        if not 0 <= index < length:
            raise IndexError(f"indices: {index} is outside the history of {length} latents")
        here, place = (0, index) if index < first else divmod(index - first + size, size)
        if here == chunk and place == stop:
            runs[-1][2] = stop = place + 1
        else:
            chunk, stop = here, place + 1
            runs.append([here, place, stop])
    return [
        (chunk, start, None if stop - start == (first if chunk == 0 else size) else stop) for chunk, start, stop in runs
    ]
