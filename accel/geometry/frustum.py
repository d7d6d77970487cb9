"""View overlap: share of one camera view that another view shows.

`FrustumSampler` tests points of a true pinhole frustum, spread evenly and seeded. A world may bring another
`ViewOverlap`, such as the measure that its model was trained with. No measure here knows about walls.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from li_env.accel.geometry.camera import inverse

_GOLDEN = np.array([0.8191725134, 0.6710436067, 0.5497004779])
"""Steps of the additive recurrence that fills a cube evenly: powers of 1 / 1.2207440846, the root of x^4 = x + 1."""

_MICRO_BATCH = 512
"""View pairs tested at a time: their tables stay in the processor's cache, however large the batch."""

_ROWS = 64
"""Rows of one matrix product. Rounding depends on their number, so it must not depend on the size of the batch."""


class ViewOverlap(Protocol):
    """Measure of view similarity."""

    def overlap(self, current: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Return the share in [0, 1] of each current view that each candidate sees.

        Args:
            current: [..., q, 4, 4] camera-to-world; leading dimensions are the batch.
            candidates: [..., m, 4, 4].

        Returns:
            shares [..., q, m] float64.
        """
        ...


class FrustumSampler:
    """Overlap of pinhole views by sample points in the frustum of the current one.

    Points are even over the picture and over depth (not over volume, which would put nearly all of them far away), so
    that a candidate further back loses its share step by step.

    Args:
        fov: (horizontal, vertical) field of view in degrees, each in (0, 180).
        distance: reach of a view along its axis, in length units.
        points: number of sample points; the overlap is a multiple of 1 / points, with an error of about that size.
        seed: shifts the points; equal seeds give equal results.
    """

    def __init__(self, fov: tuple[float, float], distance: float, points: int = 64, seed: int = 0) -> None:
        if not all(0.0 < angle < 180.0 for angle in fov):
            raise ValueError(f"fov: {fov!r} is not allowed; use two angles between 0 and 180 degrees")
        if not distance > 0.0:
            raise ValueError(f"distance: {distance!r} is not allowed; use a positive length")
        if points < 1:
            raise ValueError(f"points: {points!r} is not allowed; use a whole number from 1 up")
        slope_x, slope_y = np.tan(np.radians(np.asarray(fov) / 2))
        shift = np.random.default_rng(seed).random(3)
        unit = (shift + _GOLDEN * np.arange(1, points + 1)[:, None]) % 1.0
        depth = distance * unit[:, 2]
        sides = (2 * unit[:, :2] - 1) * (slope_x, slope_y) * depth[:, None]
        self._points = np.stack([sides[:, 0], sides[:, 1], depth, np.ones(points)]).astype(np.float32)  # [4, p]
        # A point is seen if every row, applied to its homogeneous camera coordinates, is >= 0.
        self._planes = np.array(
            [[-1, 0, slope_x, 0], [1, 0, slope_x, 0], [0, -1, slope_y, 0], [0, 1, slope_y, 0], [0, 0, -1, distance]]
        )
        # Rounding must not push the points of a view out of the same view.
        self._tolerance = np.float32(1e-5 * distance)

    def visible(self, current: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Test which sample points of the current views each candidate sees: bool [..., q, m, points]."""
        to_candidate = inverse(candidates)[..., None, :, :, :] @ np.asarray(current)[..., :, None, :, :]
        planes = (self._planes @ to_candidate).astype(np.float32)  # [..., q, m, 5, 4]
        count = planes[..., 0, 0].size
        sides = np.zeros((5, -(-count // _ROWS), _ROWS, 4), dtype=np.float32)  # padded with rows of zeros
        sides.reshape(5, -1, 4)[:, :count] = planes.reshape(-1, 5, 4).swapaxes(0, 1)
        seen = np.empty((*sides.shape[1:3], self._points.shape[1]), dtype=bool)
        for start in range(0, len(seen), _MICRO_BATCH // _ROWS):
            part = slice(start, start + _MICRO_BATCH // _ROWS)
            worst = sides[0, part] @ self._points
            for side in sides[1:]:
                np.minimum(worst, side[part] @ self._points, out=worst)
            np.greater_equal(worst, -self._tolerance, out=seen[part])
        return seen.reshape(-1, seen.shape[-1])[:count].reshape(*planes.shape[:-2], -1)

    def overlap(self, current: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        return self.visible(current, candidates).mean(axis=-1)
