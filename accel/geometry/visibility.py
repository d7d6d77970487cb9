"""Visibility: which points of the coming views other views show, and from which side, for a batch of episodes."""

from __future__ import annotations

import numpy as np

from li_env.accel.geometry.frustum import FrustumSampler

_MICRO_BATCH = 256
"""Views tested at a time: their tables stay in the processor's cache, however large the batch."""


class VisibilitySampler(FrustumSampler):
    """Sampler of points as in `FrustumSampler`, dealt out to a series of views and tested along with their rays."""

    def __init__(self, fov: tuple[float, float], distance: float, points: int = 64, seed: int = 0) -> None:
        super().__init__(fov, distance, points, seed)
        self._slopes = np.array([*np.tan(np.radians(np.asarray(fov) / 2)), 1.0])
        self._distance = np.float32(distance)

    def deal_points(self, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Deal out the sample points to a series of views [..., q, 4, 4]; return points and rays in world coordinates.

        Every view takes each q-th sample point, so that views near each other share no pattern. The number p of points
        is the number of sample points, rounded down to a multiple of q.

        Returns:
            (points [..., p, 3], unit vectors [..., p, 3] from the camera of its view to each point), float64.
        """
        views = np.asarray(poses).shape[-3]
        each = self._points.shape[1] // views
        dealt = self._points[:3, : each * views].astype(np.float64).reshape(3, each, views).transpose(2, 0, 1)
        rays = (poses[..., :3, :3] @ dealt).swapaxes(-1, -2)  # [..., q, each, 3]
        points = rays + poses[..., None, :3, 3]
        rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
        shape = (*points.shape[:-3], views * each, 3)
        return points.reshape(shape), rays.reshape(shape)

    def sees(self, poses: np.ndarray, points: np.ndarray, rays: np.ndarray, angle: float) -> np.ndarray:
        """Test which points each view sees from about the same side as the rays: bool [..., m, p].

        A point that was only seen from another side may look different or be hidden, so it does not count. The test
        runs in single precision: move the origin near the points, so that coordinates are small.

        Args:
            poses: [..., m, 4, 4] camera-to-world.
            points: [..., p, 3] in world coordinates, the same for all m views.
            rays: [..., p, 3] unit vectors, one per point.
            angle: most degrees (below 90) between the direction of view to a point and its ray.
        """
        leading, views, count = poses.shape[:-3], poses.shape[-3], points.shape[-2]
        rotation, position = poses[..., :3, :3].reshape(-1, views, 3, 3), poses[..., :3, 3].reshape(-1, views, 3)
        points, rays = points.reshape(-1, count, 3), rays.reshape(-1, count, 3)
        # Each quantity is a row for the view times a column for the point. Camera x and y are divided by the slope of
        # the frustum's sides: a point is inside if both are within the depth.
        axes = (rotation / self._slopes).transpose(3, 0, 1, 2)  # [3, B, views, 3]
        # Length along the ray, and the squared distance times the squared cosine: not less if on the same side.
        cosine = np.cos(np.radians(angle)) ** 2
        rows = [_row(axis, -_dot(position, axis)) for axis in axes]
        rows += [_row(-position, 1.0), _row(-2 * cosine * position, cosine * _dot(position, position), cosine)]
        columns = [_row(points, 1.0).swapaxes(-1, -2)] * 3
        columns += [_row(rays, _dot(points, rays)).swapaxes(-1, -2)]
        columns += [_row(points, 1.0, _dot(points, points)).swapaxes(-1, -2)]

        batch, size = len(points), max(1, _MICRO_BATCH // views)
        seen = np.empty((batch, views, count), dtype=bool)
        work, flags = np.empty((5, size, views, count), dtype=np.float32), np.empty((size, views, count), dtype=bool)
        for start in range(0, batch, size):
            part = slice(start, min(start + size, batch))
            inside, flag, values = seen[part], flags[: part.stop - start], work[:, : part.stop - start]
            for row, column, value in zip(rows, columns, values, strict=True):
                np.matmul(row[part], column[part], out=value)
            x, y, depth, along, squares = values
            np.maximum(np.abs(x, out=x), np.abs(y, out=y), out=x)
            depth += self._tolerance
            np.less_equal(x, depth, out=inside)
            inside &= np.less_equal(depth, self._distance + 2 * self._tolerance, out=flag)
            along *= np.abs(along, out=x)
            inside &= np.greater_equal(along, squares, out=flag)
        return seen.reshape(*leading, views, count)


def _dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.einsum("...i,...i->...", first, second)


def _row(vectors: np.ndarray, *more: np.ndarray | float) -> np.ndarray:
    """Append components [...] to vectors [..., 3], in single precision: [..., 3 + len(more)]."""
    row = np.empty((*vectors.shape[:-1], 3 + len(more)), dtype=np.float32)
    row[..., :3] = vectors
    for index, component in enumerate(more):
        row[..., 3 + index] = component
    return row
