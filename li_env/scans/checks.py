"""Checks of a scan's arrays, with the likely cause of each mistake and its remedy.

Whether a rigid matrix leads from the camera to the world or back cannot be seen in the matrix. `check_poses` judges by
the positions of all cameras, and refuses only what is very likely wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from li_env.accel.geometry.camera import inverse
from li_env.validation import MOST_LENGTH, shown

MAX_VIEWS = 4096
"""Most views of a scan."""

ROUNDING = 1e-3
"""Error of a rotation's entries that counts as rounding, as in text files; the nearest rotation takes its place."""

_EXACT = 1e-6
_FEW = 8  # views, below which positions say nothing about the direction of the matrices


def check_images(images: Any) -> np.ndarray:
    """Return the images of a scan.

    Raises:
        ValueError: not uint8 [n, H, W, 3] with n from 1 to `MAX_VIEWS`.
    """
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        what = f"{images.dtype} {list(images.shape)}" if isinstance(images, np.ndarray) else type(images).__name__
        raise ValueError(f"images={what} is not usable; allowed: a numpy array uint8 [n, height, width, 3], RGB")
    if len(images) > MAX_VIEWS:
        raise ValueError(f"images: {len(images):,} views; allowed: 1 to {MAX_VIEWS:,}; leave some out (every=2)")
    if 0 in images.shape:
        raise ValueError(f"images={list(images.shape)} are empty; allowed: 1 to {MAX_VIEWS:,} views")
    return images


def check_intrinsics(intrinsics: Any, count: int) -> np.ndarray | None:
    """Return (fx, fy, cx, cy) in pixels as float64 [4] or [count, 4]; ``None`` stays.

    Raises:
        ValueError: another shape, not finite, or a focal length that is not positive.
    """
    if intrinsics is None:
        return None
    allowed = f"allowed: (fx, fy, cx, cy) in pixels, [4] or [{count}, 4], fx and fy above 0"
    try:
        values = np.asarray(intrinsics, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"intrinsics={shown(intrinsics)} is not usable; {allowed}") from None
    if values.shape not in ((4,), (count, 4)):
        raise ValueError(f"intrinsics of shape {list(values.shape)} are not usable; {allowed}")
    if not np.isfinite(values).all() or (values[..., :2] <= 0).any():
        raise ValueError(f"intrinsics={shown(values.round(3).tolist())} are not usable; {allowed}")
    return values


def check_poses(poses: Any) -> np.ndarray:
    """Return camera-to-world matrices as float64 [n, 4, 4], rotations that are rounded replaced by the nearest one.

    Raises:
        ValueError: no rigid matrices, or matrices of another convention; names the likely cause and what to do.
    """
    try:
        matrices = np.asarray(poses, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"poses={type(poses).__name__} is not usable; allowed: an array [n, 4, 4]") from None
    if matrices.shape[1:] == (3, 4):
        raise ValueError(f"poses of shape {list(matrices.shape)} are not usable; add the row 0 0 0 1: [n, 4, 4]")
    if matrices.ndim != 3 or matrices.shape[1:] != (4, 4) or not len(matrices):
        raise ValueError(f"poses of shape {list(matrices.shape)} are not usable; allowed: [n, 4, 4], n from 1 up")
    _refuse(np.asarray(~np.isfinite(matrices).all((1, 2))), "holds NaN or infinity; allowed: finite numbers")
    _check_last_row(matrices)
    matrices = _check_rotations(matrices)
    _refuse(
        np.abs(matrices[:, :3, 3]).max(1) >= MOST_LENGTH, f"lies {MOST_LENGTH:,.0f} or more from the origin; use scale="
    )
    if (matrices[:, 1, 1] < -0.5).all():
        raise ValueError(
            "poses: every camera is upside down where y points down; OpenGL or Blender axes? use axes='opengl' or "
            "negate two columns, poses[:, :3, 1:3] *= -1; a world whose y points up: negate rows, poses[:, 1:3] *= -1"
        )
    if _looks_inverted(matrices):
        raise ValueError(
            "poses: the cameras jump between neighbouring views, their inverses do not: these are world-to-camera "
            "matrices (extrinsics); allowed: camera-to-world, np.linalg.inv(poses)"
        )
    return matrices


def _refuse(wrong: np.ndarray, why: str) -> None:
    """Raise an error about the first of the poses that are marked in ``wrong`` [n]."""
    if wrong.any():
        count = int(wrong.sum())
        more = f" ({count} such poses)" if count > 1 else ""
        raise ValueError(f"poses: pose {int(wrong.argmax())} {why}{more}")


def _check_last_row(matrices: np.ndarray) -> None:
    usual = np.array([0.0, 0.0, 0.0, 1.0])
    wrong = np.abs(matrices[:, 3] - usual).max(1) > _EXACT
    turned = wrong & (np.abs(matrices[:, :, 3] - usual).max(1) <= _EXACT)
    _refuse(turned, "has its position in the last row: it is transposed; use poses.transpose(0, 2, 1)")
    _refuse(wrong, "has another last row than 0 0 0 1; allowed: rigid matrices [rotation | position]")


def _check_rotations(matrices: np.ndarray) -> np.ndarray:
    rotations = matrices[:, :3, :3]
    products = rotations.transpose(0, 2, 1) @ rotations
    sizes = np.sqrt(np.trace(products, axis1=1, axis2=2) / 3)
    even = np.abs(products - (sizes**2)[:, None, None] * np.eye(3)).max((1, 2)) <= ROUNDING * np.maximum(sizes**2, 1)
    scaled = even & (np.abs(sizes - 1) > ROUNDING)
    size = float(sizes[int(scaled.argmax())])
    _refuse(scaled & (sizes > 0), f"carries a scale of {size:.4g}; use poses[:, :3, :3] / {size:.4g}")
    _refuse(
        ~even | (sizes == 0),
        "has no rotation in its first three columns; allowed: three columns of length 1 that are "
        "perpendicular to each other",
    )
    _refuse(
        np.linalg.det(rotations) < 0,
        "mirrors (determinant -1): a left-handed camera such as x right, y up, z forward; "
        "negate that axis, poses[:, :3, 1] *= -1",
    )
    rounded = np.abs(products - np.eye(3)).max((1, 2)) > _EXACT
    if rounded.any():
        matrices = matrices.copy()
        left, _, right = np.linalg.svd(rotations[rounded])
        matrices[rounded, :3, :3] = left @ right
    return matrices


def _looks_inverted(poses: np.ndarray) -> bool:
    """Tell whether cameras jump from view to view as given, and move smoothly if the matrices are inverted."""
    if len(poses) < _FEW:
        return False
    given, other = poses[:, :3, 3], inverse(poses)[:, :3, 3]
    # A camera that circles around the origin has an inverse that stays in one place: nothing is wrong with it.
    circles = _spread(other) < 0.1 * float(np.linalg.norm(other.mean(0))) or _look_at_one_point(poses)
    return _step(given) > 0.1 * _spread(given) and _step(other) < _step(given) / 4 and not circles


def _step(positions: np.ndarray) -> float:
    """Return the median distance between consecutive positions [n, 3]."""
    return float(np.median(np.linalg.norm(np.diff(positions, axis=0), axis=1)))


def _spread(positions: np.ndarray) -> float:
    """Return the standard deviation of positions [n, 3]."""
    return float(np.sqrt(positions.var(0).sum()))


def _look_at_one_point(poses: np.ndarray) -> bool:
    """Tell whether all optical axes meet: cameras around an object, whose inverses stay in one place."""
    positions, axes = poses[:, :3, 3], poses[:, :3, 2]
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]  # projects onto the plane across each axis
    point = np.linalg.lstsq(across.sum(0), (across @ positions[:, :, None]).sum(0), rcond=None)[0][:, 0]
    away = np.linalg.norm((across @ (point - positions)[:, :, None])[..., 0], axis=1)
    return float(np.median(away)) < 0.25 * _spread(positions)


def spot_distances(poses: np.ndarray) -> np.ndarray:
    """Return the distance from each spot of a scan to the nearest other one; empty for a single spot.

    A spot is a position; the views from there may have many headings.
    """
    positions = poses[:, :3, 3]
    size = max(float(np.ptp(positions, axis=0).max()), 1e-12)
    _, first = np.unique(np.round((positions - positions[0]) / size, 6) + 0.0, axis=0, return_index=True)
    spots = positions[np.sort(first)]
    if len(spots) < 2:
        return np.empty(0)
    nearest = np.empty(len(spots))
    for start in range(0, len(spots), 256):  # the whole table of 4,096 spots would take 400 MB
        part = spots[start : start + 256]
        squares = ((part[:, None] - spots) ** 2).sum(-1)
        squares[np.arange(len(part)), np.arange(start, start + len(part))] = np.inf
        nearest[start : start + len(part)] = np.sqrt(squares.min(1))
    return nearest


def check_distances(poses: np.ndarray, view_distance: float) -> None:
    """Refuse poses whose views cannot overlap.

    Args:
        poses: [n, 4, 4] camera-to-world.
        view_distance: distance up to which a view shows the scene, in the unit of the poses.

    Raises:
        ValueError: half of the spots are more than two view distances from the nearest other one.
    """
    nearest = spot_distances(poses)
    median = float(np.median(nearest)) if len(nearest) else 0.0
    if median > 2 * view_distance:
        factor = next((each for each in (0.01, 0.001) if median * each <= view_distance / 2), None)
        unit = {0.01: "centimetres", 0.001: "millimetres"}.get(factor or 0)
        hint = f" (are these {unit}? scale={factor})" if unit else ""
        raise ValueError(
            f"poses: neighbouring spots of the scan are {median:,.4g} apart, but a view shows {view_distance:g}: no "
            f"two views overlap; another unit of length? use Scan.read(path, scale=...){hint}"
        )
