"""Index of posed views: the few views near a camera, found without looking at all of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from li_env.accel.geometry.leaves import Leaves, nearest

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

_ROW_SHIFT = 32
"""Bits of a sort key below the number of an episode."""

_TOGETHER = 512
"""Lists made at a time, so that RAM does not grow with the batch."""

Key = tuple[int, ...]
"""Bucket: cell in x, y and z, and sector."""


class _Part:
    """Part of the views.

    Args:
        views: their numbers, increasing.
        offsets: [3, n] float32 of all views from the first one.
    """

    def __init__(self, views: np.ndarray, offsets: np.ndarray) -> None:
        self.views, self._offsets = views, offsets

    @cached_property
    def leaves(self) -> Leaves:
        """Leaves of the offsets; most parts of views that look elsewhere are never asked for them."""
        return Leaves(self._offsets[:, self.views])


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
        self.first = poses[0, :3, 3].tolist()
        self._offsets = (poses[:, :3, 3] - poses[0, :3, 3]).T.astype(np.float32)
        self._right, self._ahead = poses[:, 0, 2], poses[:, 2, 2]
        self._sectors: dict[int, tuple[_Part, _Part]] = {}

    def __len__(self) -> int:
        return self._offsets.shape[1]

    def near(self, poses: np.ndarray) -> np.ndarray:
        """Return the indices, increasing, of the `NEAR` views for each of the cameras [q, 4, 4]; all of up to `FEW`."""
        return near_views([self], poses[None])[1]

    def sector(self, number: int) -> tuple[_Part, _Part]:
        """Return the views that may show what a camera of a heading sees, and the others."""
        found = self._sectors.get(number)
        if found is None:
            heading = 2 * np.pi * number / SECTORS
            toward = self._right * np.sin(heading) + self._ahead * np.cos(heading)
            facing = toward >= _FACING * np.hypot(self._right, self._ahead)
            found = _Part(np.flatnonzero(facing), self._offsets), _Part(np.flatnonzero(~facing), self._offsets)
            self._sectors[number] = found
        return found


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
    missing = {
        (id(index), key): (index, key) for index, key in zip(owners, keys, strict=True) if key not in index.lists
    }
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
            continue
        similar, others = index.sector(key[3])
        if len(similar.views) > NEAR:
            many.append((index, key, similar))
            continue
        found = similar.views
        if len(found) < NEAR:
            found = np.concatenate([found, _nearest([(index, key, others)], NEAR - len(found))[0]])
        index.lists[key] = np.sort(found)
    for start in range(0, len(many), _TOGETHER):
        part = many[start : start + _TOGETHER]
        for (index, key, _), views in zip(part, np.sort(_nearest(part, NEAR), axis=1), strict=True):
            index.lists[key] = views


def _nearest(buckets: Sequence[tuple[ViewIndex, Key, _Part]], count: int) -> np.ndarray:
    """Return the ``count`` views [K, count] nearest to each bucket; every part has more. Ties go to the first."""
    facts = np.array([(*key[:3], *index.first, index.side, index.reach) for index, key, _ in buckets])
    centres = ((facts[:, :3] + 0.5) * facts[:, 6:7] - facts[:, 3:6]).astype(np.float32)
    places = nearest([part.leaves for _, _, part in buckets], centres, facts[:, 7], count)
    return np.stack([part.views.take(own) for (_, _, part), own in zip(buckets, places, strict=True)])
