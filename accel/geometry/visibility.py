"""Which points of the coming views other views show, and from which side: for many worlds at once."""

from __future__ import annotations

import numpy as np

from li_env.accel.geometry.frustum import FrustumSampler

_BLOCK = 256
"""Views tested at a time: what they need stays in the processor's cache, however many worlds there are."""


class VisibilitySampler(FrustumSampler):
    """Sample points as in `FrustumSampler`, dealt out to a series of views and tested along with their rays."""

    def __init__(self, fov: tuple[float, float], distance: float, points: int = 64, seed: int = 0) -> None:
        super().__init__(fov, distance, points, seed)
        self._slopes = np.array([*np.tan(np.radians(np.asarray(fov) / 2)), 1.0])
        self._distance = np.float32(distance)

    def deal_points(self, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sample points of a series of views [..., q, 4, 4], in world coordinates, and the rays that lead to them.

        The points are dealt out to the views in turn, so that their number p is the number of sample points (or
        slightly fewer, a multiple of q) however many views there are. Views near each other then share no pattern.

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
        """Which points each view sees from about the same side as the rays: bool [..., m, p].

        ``poses`` [..., m, 4, 4]; ``points`` and ``rays`` [..., p, 3] in world coordinates, the same for all m views.
        A point counts if the view sees it at most ``angle`` degrees (below 90) away from the direction of its ray: what
        was only seen from another side may look different or be hidden. Computed in single precision: coordinates
        should be small, so move the origin to the place in question.
        """
        leading, views, count = poses.shape[:-3], poses.shape[-3], points.shape[-2]
        rotation, place = poses[..., :3, :3].reshape(-1, views, 3, 3), poses[..., :3, 3].reshape(-1, views, 3)
        points, rays = points.reshape(-1, count, 3), rays.reshape(-1, count, 3)
        # Everything is a product of a row for the view and a column for the point. Camera coordinates, sideways ones
        # divided by the slope of the frustum's sides: inside are those whose sides are within the depth.
        axes = (rotation / self._slopes).transpose(3, 0, 1, 2)  # [3, worlds, views, 3]
        # Length along the ray, and the squared distance times the squared cosine: not less if on the same side.
        cosine = np.cos(np.radians(angle)) ** 2
        rows = [_row(axis, -_dot(place, axis)) for axis in axes]
        rows += [_row(-place, 1.0), _row(-2 * cosine * place, cosine * _dot(place, place), cosine)]
        columns = [_row(points, 1.0).swapaxes(-1, -2)] * 3
        columns += [_row(rays, _dot(points, rays)).swapaxes(-1, -2)]
        columns += [_row(points, 1.0, _dot(points, points)).swapaxes(-1, -2)]

        worlds, block = len(points), max(1, _BLOCK // views)
        seen = np.empty((worlds, views, count), dtype=bool)
        work, flags = np.empty((5, block, views, count), dtype=np.float32), np.empty((block, views, count), dtype=bool)
        for start in range(0, worlds, block):
            part = slice(start, min(start + block, worlds))
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
    """Vectors [..., 3] followed by more components [...], in single precision: [..., 3 + len(more)]."""
    row = np.empty((*vectors.shape[:-1], 3 + len(more)), dtype=np.float32)
    row[..., :3] = vectors
    for index, component in enumerate(more):
        row[..., 3 + index] = component
    return row
