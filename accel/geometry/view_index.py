"""Index of posed views: the few views near a camera, found without looking at all of them."""

from __future__ import annotations

from functools import cached_property

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
        self._positions, self._forward = poses[:, :3, 3], poses[:, :3, 2]
        self._side, self._reach = CELL * view_distance, _REACH * view_distance
        self._lists: dict[tuple[int, ...], np.ndarray] = {}

    def near(self, poses: np.ndarray) -> np.ndarray:
        """Return the indices, increasing, of the `NEAR` views for each of the cameras [q, 4, 4]; all of up to `FEW`."""
        return self.near_many(poses[None])[0]

    def near_many(self, poses: np.ndarray) -> list[np.ndarray]:
        """Call `near` for the cameras [B, q, 4, 4] of many episodes."""
        return [self._joined(*map(tuple, keys)) for keys in self._keys(poses).tolist()]

    def _keys(self, poses: np.ndarray) -> np.ndarray:
        """Return the buckets [B, q, 4] of cameras: cell in x, y and z, and sector."""
        keys = np.empty((*poses.shape[:2], 4), dtype=int)
        keys[..., :3] = np.floor(poses[..., :3, 3] / self._side)
        turns = np.arctan2(poses[..., 0, 2], poses[..., 2, 2]) / (2 * np.pi) * SECTORS
        keys[..., 3] = np.rint(turns).astype(int) % SECTORS
        return keys

    def _joined(self, *keys: tuple[int, ...]) -> np.ndarray:
        """Return the lists of all buckets as one."""
        first = keys[0]
        if all(key == first for key in keys):
            return self._list(first)
        listed = np.zeros(len(self._positions), dtype=bool)
        for key in keys:
            listed[self._list(key)] = True
        return np.flatnonzero(listed)

    def _list(self, key: tuple[int, ...]) -> np.ndarray:
        found = self._lists.get(key)
        if found is None:
            found = self._lists[key] = self._search(key)
        return found

    def _search(self, key: tuple[int, ...]) -> np.ndarray:
        """List the nearest views that look in a similar direction; the nearest of the others fill up."""
        if len(self._positions) <= FEW:
            return np.arange(len(self._positions))
        centre = (np.array(key[:3]) + 0.5) * self._side - self._positions[0]
        found = np.empty(0, dtype=int)
        for views, positions in self._sectors[key[3]]:
            if len(found) < NEAR:
                found = np.concatenate([found, views[self._nearest(positions, centre, NEAR - len(found))]])
        return np.sort(found)

    @cached_property
    def _sectors(self) -> list[list[tuple[np.ndarray, np.ndarray]]]:
        """The views that may show what a camera of each heading sees, then the others: indices and positions."""
        length = np.hypot(self._forward[:, 0], self._forward[:, 2])
        positions = (self._positions - self._positions[0]).T.astype(np.float32)
        parts = []
        for sector in range(SECTORS):
            heading = 2 * np.pi * sector / SECTORS
            facing = self._forward[:, 0] * np.sin(heading) + self._forward[:, 2] * np.cos(heading) >= _FACING * length
            parts.append([(np.flatnonzero(each), positions[:, each]) for each in (facing, ~facing)])
        return parts

    def _nearest(self, positions: np.ndarray, centre: np.ndarray, count: int) -> np.ndarray:
        """Return which ``count`` positions [3, n] are nearest to a point, all if there are fewer; ties go to the first.

        Distance and number make one whole number per position. No two are equal, so the choice does not depend on how
        the partition works. Squared distances are rounded, and all beyond `_REACH` are equal.
        """
        total = positions.shape[1]
        if total <= count:
            return np.arange(total)
        away = positions - centre[:, None].astype(np.float32)
        away *= away
        squares = away[0] + away[1] + away[2]
        bits = total.bit_length()
        levels = 1 << (31 - bits)
        squares *= np.float32((levels - 1) / self._reach**2)
        keys = np.minimum(squares, np.float32(levels - 2)).astype(np.int32) << bits
        keys |= np.arange(total, dtype=np.int32)
        nearest: np.ndarray = np.partition(keys, count)[:count] & ((1 << bits) - 1)
        return nearest
