"""Index of posed views: the few views near a camera, found without looking at all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

NEAR = 32
"""Views listed for one camera."""

FEW = 64
"""Most views of a scan that are all listed for every camera."""

CELL = 1.0 / 12.0
"""Side of a bucket, as a share of the view distance."""

SECTORS = 8
"""Buckets of headings all around."""

_REACH = 2.0
"""Distance beyond which all views are equally far, as a share of the view distance."""

_FACING = np.cos(np.radians(90.0 + 180.0 / SECTORS))
"""Cosine of the largest angle between the directions of two views of 90 degrees that may show the same nearby point."""

_NUMBER_BITS, _DISTANCE_BITS = 24, 31
"""Bits of a sort key that hold the number of a view and its rounded distance, see `_nearest`."""

_ROW_SHIFT = 32
"""Bits of a sort key below the number of an episode."""

_TOGETHER = 1 << 17
"""Distances computed at a time, so that RAM does not grow with the batch."""

Key = tuple[int, ...]
"""Bucket: cell in x, y and z, and sector."""


class ViewIndex:
    """Index of posed views by place and heading.

    Cameras are put into buckets. The list of a bucket is made when a camera first stands there, and kept: the time of
    later questions depends neither on the number of views nor on the size of the place. A list depends on its bucket
    alone, not on the camera or on earlier questions.

    Args:
        poses: [n, 4, 4] camera-to-world.
        view_distance: how far a view shows the scene.
    """

    def __init__(self, poses: np.ndarray, view_distance: float) -> None:
        self.side = CELL * view_distance
        self.lists: dict[Key, np.ndarray] = {}
        self.offsets = (poses[:, :3, 3] - poses[0, :3, 3]).T.astype(np.float32)
        right, ahead = poses[:, 0, 2], poses[:, 2, 2]
        headings = 2 * np.pi * np.arange(SECTORS)[:, None] / SECTORS
        self.others = right * np.sin(headings) + ahead * np.cos(headings) < _FACING * np.hypot(right, ahead)
        """Whether a view shows nothing of what a camera of each heading sees nearby: [SECTORS, n]."""
        place = (*poses[0, :3, 3].tolist(), self.side, _REACH * view_distance)
        self.facts: list[tuple[float, ...]] = [
            # Distances are rounded the more, the more views are compared.
            (*place, *(float(1 << (31 - count.bit_length())) for count in (len(poses) - others, others)))
            for others in self.others.sum(axis=1).tolist()
        ]
        """What `_nearest` needs beside a bucket of each sector: the first view's place, lengths, steps of distances."""

    def __len__(self) -> int:
        return self.offsets.shape[1]

    def near(self, poses: np.ndarray) -> np.ndarray:
        """Return the indices, increasing, of the `NEAR` views for each of the cameras [q, 4, 4]; all of up to `FEW`."""
        return near_views([self], poses[None])[1]


def near_views(indices: Sequence[ViewIndex], poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Call `ViewIndex.near` for the cameras [B, q, 4, 4] of B episodes, each with its own index.

    Returns:
        (numbers of the episodes, their views), both [N]: episodes, and each one's views, in increasing order.
    """
    cells = poses[..., :3, 3] / np.array([index.side for index in indices])[:, None, None]
    turns = np.rint(np.arctan2(poses[..., 0, 2], poses[..., 2, 2]) / (2 * np.pi) * SECTORS).astype(int) % SECTORS
    columns = [*np.floor(cells).astype(int).transpose(2, 0, 1).reshape(3, -1).tolist(), turns.ravel().tolist()]
    keys: list[Key] = list(zip(*columns, strict=True))
    owners = [index for index in indices for _ in range(poses.shape[1])]
    missing = {(id(index), key): (index, key) for index, key in zip(owners, keys, strict=True) if key not in index.lists}
    if missing:
        _search([*missing.values()])
    lists = [index.lists[key] for index, key in zip(owners, keys, strict=True)]
    rows = np.repeat(np.arange(len(keys)) // poses.shape[1], [len(each) for each in lists])
    codes = (rows << _ROW_SHIFT) | np.concatenate(lists)
    codes.sort()
    codes = codes[np.append(True, codes[1:] != codes[:-1])]
    return codes >> _ROW_SHIFT, codes & ((1 << _ROW_SHIFT) - 1)


def _search(missing: Sequence[tuple[ViewIndex, Key]]) -> None:
    """Make lists: the nearest views that look in a similar direction, then the nearest of the others."""
    many = []
    for index, key in missing:
        if len(index) <= FEW:
            index.lists[key] = np.arange(len(index))
        else:
            many.append((index, key))
    for part in _parts(many):
        for (index, key), views in zip(part, _nearest(part), strict=True):
            index.lists[key] = views


def _parts(missing: list[tuple[ViewIndex, Key]]) -> Iterator[list[tuple[ViewIndex, Key]]]:
    """Cut buckets into parts of scans of similar size."""
    missing = sorted(missing, key=lambda each: -len(each[0]))
    while missing:
        count = max(1, _TOGETHER // len(missing[0][0]))
        yield missing[:count]
        missing = missing[count:]


def _nearest(buckets: Sequence[tuple[ViewIndex, Key]]) -> np.ndarray:
    """Return the views [K, `NEAR`] of each bucket, in increasing order; every scan has more.

    Whether a view looks elsewhere, its rounded squared distance (all beyond `_REACH` are equal) and its number make one
    whole number per view. No two are equal, so the choice does not depend on how the partition works.
    """
    width = max(len(index) for index, _ in buckets)
    offsets = np.zeros((3, len(buckets), width), dtype=np.float32)
    kinds = np.full((len(buckets), width), 2, dtype=np.int8)  # a view of similar direction, another one, none
    for row, (index, key) in enumerate(buckets):
        offsets[:, row, : len(index)], kinds[row, : len(index)] = index.offsets, index.others[key[3]]
    facts = np.array([key[:3] + index.facts[key[3]] for index, key in buckets])
    cells, first, side, reach, levels = np.split(facts, [3, 6, 7, 8], axis=1)
    centres = (cells + 0.5) * side - first
    offsets -= centres.T[..., None].astype(np.float32)
    offsets *= offsets
    squares = offsets[0] + offsets[1] + offsets[2]
    scales, most = ((levels - 1) / reach**2).astype(np.float32), (levels - 2).astype(np.float32)
    similar = kinds == 0
    squares *= np.where(similar, scales[:, :1], scales[:, 1:])
    np.minimum(squares, np.where(similar, most[:, :1], most[:, 1:]), out=squares)
    codes = kinds.astype(np.int64) << (_NUMBER_BITS + _DISTANCE_BITS)
    codes |= squares.astype(np.int64) << _NUMBER_BITS
    codes |= np.arange(width)
    found: np.ndarray = np.sort(np.partition(codes, NEAR, axis=1)[:, :NEAR] & ((1 << _NUMBER_BITS) - 1), axis=1)
    return found
