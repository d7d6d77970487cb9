"""Axes of cameras and of the world, changed by signs and order alone, so that no digit is lost."""

from __future__ import annotations

import numpy as np

_AGREE = 0.5  # length of the mean of the cameras' down axes, below which the world's is unclear

# Axis of the world that points down, with its sign -> (rows of the upright world, their signs): proper rotations.
_TURNS = {
    (0, 1): ((1, 0, 2), (-1, 1, 1)),
    (0, -1): ((1, 0, 2), (1, -1, 1)),
    (1, -1): ((0, 1, 2), (1, -1, -1)),
    (2, 1): ((0, 2, 1), (1, 1, -1)),
    (2, -1): ((0, 2, 1), (1, -1, 1)),
}


def other_cameras(poses: np.ndarray) -> np.ndarray:
    """Turn cameras [n, 4, 4] with OpenGL axes (x right, y up, z backward) into those with OpenCV axes, or back."""
    turned = poses.copy()
    turned[:, :3, 1:3] *= -1
    return turned


def upright(poses: np.ndarray) -> np.ndarray:
    """Turn the world by a multiple of 90 degrees so that the cameras' down axis [OpenCV] is nearest to y.

    Poses [n, 4, 4] whose cameras do not agree, and those that are upright, come back unchanged.
    """
    mean = poses[:, :3, 1].mean(0)
    axis = int(np.abs(mean).argmax())
    rows, signs = _TURNS.get((axis, 1 if mean[axis] > 0 else -1), (None, None))
    if rows is None or signs is None or not float(np.linalg.norm(mean)) > _AGREE:
        return poses
    turned = poses.copy()
    turned[:, :3] = poses[:, rows] * np.array(signs, dtype=float)[:, None]
    return turned
