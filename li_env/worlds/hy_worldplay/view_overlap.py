"""View overlap as HY-WorldPlay was trained with (docs/spec/hy_worldplay.md, sections 5.1 and 5.2)."""

from __future__ import annotations

import numpy as np
import torch

from li_env.accel.geometry.camera import inverse


class BallOverlap:
    """View overlap of HY-WorldPlay: an angular test on points of a ball around the current camera.

    Args:
        points: [n, 3] points in the frame of the current camera; `ball_points` makes them.
        fov: (horizontal, vertical) angles in degrees.
        radius: a candidate sees points nearer than this.
    """

    def __init__(self, points: np.ndarray, fov: tuple[float, float] = (60.0, 35.0), radius: float = 8.0) -> None:
        points = np.asarray(points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 3:
            raise ValueError(f"points: shape {points.shape} is not [n, 3]")
        self._half_fov = np.asarray(fov, dtype=np.float64) / 2
        self._radius = radius
        # Points outside the current view count on neither side of the quotient.
        self._points = points[(np.abs(_angles(points)) < self._half_fov).all(axis=-1)]

    def overlap(self, current: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Return the share of each current view that each candidate sees; 0 if no point lies in the current view."""
        return ball_overlap(current, candidates, self._points, tuple(2 * self._half_fov), self._radius)


def ball_points(count: int, seed: int, radius: float = 8.0) -> np.ndarray:
    """Draw points [count, 3] float32, even in a ball of this radius (docs/spec/hy_worldplay.md, section 5.1).

    From an own seeded generator: upstream draws them from the global one, so that its choices cannot be repeated.
    """
    generator = torch.Generator().manual_seed(seed)
    distance = radius * torch.rand(count, generator=generator) ** (1 / 3)
    around = 2 * torch.pi * torch.rand(count, generator=generator)
    down = torch.arccos(1 - 2 * torch.rand(count, generator=generator))
    direction = (torch.sin(down) * torch.cos(around), torch.sin(down) * torch.sin(around), torch.cos(down))
    return (distance[:, None] * torch.stack(direction, dim=-1)).numpy()


def ball_overlap(
    current: np.ndarray,
    candidates: np.ndarray,
    points: np.ndarray,
    fov: tuple[float, float] = (60.0, 35.0),
    radius: float = 8.0,
) -> np.ndarray:
    """Compute the view overlap [..., q, m] of poses [..., q, 4, 4] and [..., m, 4, 4].

    Source: docs/spec/hy_worldplay.md, section 5.2.

    Of the ``points`` [n, 3] (frame of the current camera) whose azimuth and elevation lie within ``fov`` (degrees, full
    angles), the share that lies within ``fov`` of the candidate's axis too and nearer than ``radius`` to it; 0 if none
    lies in the current view.
    """
    half_fov = np.asarray(fov, dtype=np.float64) / 2
    points = np.asarray(points, dtype=np.float64)
    points = points[(np.abs(_angles(points)) < half_fov).all(axis=-1)]
    to_current = inverse(current)[..., :, None, :, :] @ np.asarray(candidates)[..., None, :, :, :]
    if len(points) == 0:
        return np.zeros(to_current.shape[:-2])
    offset = points - to_current[..., None, :3, 3]
    difference = _angles(offset) - _angles(to_current[..., None, :3, 2])
    difference = (difference + 180.0) % 360.0 - 180.0
    seen = (np.abs(difference) < half_fov).all(axis=-1) & (np.linalg.norm(offset, axis=-1) < radius)
    return seen.mean(axis=-1)


def _angles(direction: np.ndarray) -> np.ndarray:
    """Return (azimuth, elevation) in degrees of directions [..., 3], stacked last."""
    x, y, z = direction[..., 0], direction[..., 1], direction[..., 2]
    return np.degrees(np.stack([np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))], axis=-1))
