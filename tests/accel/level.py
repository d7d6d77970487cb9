"""Level cameras and scans of empty rooms for tests."""

from __future__ import annotations

import numpy as np


def level(x: np.ndarray, z: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """Return camera-to-world matrices [..., 4, 4] of level cameras; yaw in radians."""
    x, z, yaw = np.broadcast_arrays(x, z, yaw)
    poses = np.broadcast_to(np.eye(4), (*x.shape, 4, 4)).copy()
    cos, sin = np.cos(yaw), np.sin(yaw)
    poses[..., 0, 0], poses[..., 0, 2], poses[..., 2, 0], poses[..., 2, 2] = cos, sin, -sin, cos
    poses[..., 0, 3], poses[..., 2, 3] = x, z
    return poses


def spots(count: int, side: float, seed: int = 0) -> np.ndarray:
    """Draw planar poses [count, 3] (x, z, yaw in radians) in a square of ``side`` around the origin."""
    rng = np.random.default_rng(seed)
    return np.stack([*rng.uniform(-side / 2, side / 2, (2, count)), rng.uniform(-np.pi, np.pi, count)], axis=-1)


def walks(count: int, side: float, seed: int = 1) -> np.ndarray:
    """Draw pairs of coming planar poses [count, 2, 3], half a chunk from each other."""
    rng = np.random.default_rng(seed)
    first = spots(count, side, seed)
    return np.stack([first, first + rng.uniform(-1, 1, (count, 3)) * [1.5, 1.5, 0.5]], axis=1)
