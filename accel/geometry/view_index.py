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
        self.side, self.reach = CELL * view_distance, _REACH * view_distance
        self.lists: dict[Key, np.ndarray] = {}
        self.first = poses[0, :3, 3]
        self.offsets = (poses[:, :3, 3] - self.first).T.astype(np.float32)
        right, ahead = poses[:, 0, 2], poses[:, 2, 2]
        headings = 2 * np.pi * np.arange(SECTORS)[:, None] / SECTORS
        self.others = right * np.sin(headings) + ahead * np.cos(headings) < _FACING * np.hypot(right, ahead)
        """Whether a view shows nothing of what a camera of each heading sees nearby: [SECTORS, n]."""
        counts = self.others.sum(axis=1)
        # Distances are rounded the more, the more views are compared.
        self.levels = 1 << (31 - np.array([[n.bit_length() for n in (len(poses) - k, k)] for k in counts.tolist()]))

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
    asked = _asked(indices, poses)
    missing = {(id(index), key): (index, key) for _, index, key in asked if key not in index.lists}
    _search([*missing.values()])
    lists = [index.lists[key] for _, index, key in asked]
    rows = np.repeat([row for row, _, _ in asked], [len(each) for each in lists])
    codes = (rows << 32) | np.concatenate(lists)
    codes.sort()
    codes = codes[np.append(True, codes[1:] != codes[:-1])]
    return codes >> 32, codes & 0xFFFFFFFF


def _asked(indices: Sequence[ViewIndex], poses: np.ndarray) -> list[tuple[int, ViewIndex, Key]]:
    """Return the buckets of every episode's cameras, each once: (episode, index, bucket)."""
    cells = poses[..., :3, 3] / np.array([index.side for index in indices])[:, None, None]
    turns = np.rint(np.arctan2(poses[..., 0, 2], poses[..., 2, 2]) / (2 * np.pi) * SECTORS).astype(int) % SECTORS
    keys = np.concatenate([np.floor(cells).astype(int), turns[..., None]], axis=-1).tolist()
    return [
        (row, index, key)
        for row, (index, own) in enumerate(zip(indices, keys, strict=True))
        for key in dict.fromkeys(map(tuple, own))
    ]


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
    kinds = np.full((len(buckets), width), 2)  # 0 for a view of similar direction, 1 for another one, 2 for none
    for row, (index, key) in enumerate(buckets):
        offsets[:, row, : len(index)], kinds[row, : len(index)] = index.offsets, index.others[key[3]]
    centres = np.array([[*key[:3]] for _, key in buckets]) + 0.5
    centres *= np.array([[index.side] for index, _ in buckets])
    centres -= np.stack([index.first for index, _ in buckets])
    levels = np.stack([index.levels[key[3]] for index, key in buckets])
    scales = ((levels - 1) / np.array([[index.reach**2] for index, _ in buckets])).astype(np.float32)
    offsets -= centres.T[..., None].astype(np.float32)
    offsets *= offsets
    squares = offsets[0] + offsets[1] + offsets[2]
    elsewhere = kinds == 1
    squares *= np.where(elsewhere, scales[:, 1:], scales[:, :1])
    most = (levels - 2).astype(np.float32)
    np.minimum(squares, np.where(elsewhere, most[:, 1:], most[:, :1]), out=squares)
    codes = squares.astype(np.int64) << _NUMBER_BITS
    codes |= kinds << (_NUMBER_BITS + _DISTANCE_BITS)
    codes |= np.arange(width)
    found: np.ndarray = np.sort(np.partition(codes, NEAR, axis=1)[:, :NEAR] & ((1 << _NUMBER_BITS) - 1), axis=1)
    return found
