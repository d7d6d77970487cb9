"""Pictures as another lens would show them: without distortion, or in the size and field of view of a world.

Intrinsics are (fx, fy, cx, cy) in pixels, (0, 0) being the corner of a pixel as in COLMAP; OpenCV puts (0, 0) into a
pixel's centre, half a pixel further.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

LEAST_SHOWN = 0.8
"""Share of a world's frame, along each side, that a view has to show; the rest is filled with its rim."""

_SAME = 1e-6
_BEYOND = 0.06  # share of a side; OpenCV finds the rim of a very wide lens no better
_SHAPE = 0.02  # aspect ratios that differ by less are the same


def undistorted(
    image: np.ndarray, intrinsics: np.ndarray, distortion: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Undo the distortion of a picture; it keeps its size and loses what the lens bent beyond its rim.

    Args:
        image: uint8 [H, W, 3].
        intrinsics: [4].
        distortion: k1, k2, p1, p2, k3 as OpenCV defines them.

    Returns:
        The picture uint8 [H, W, 3] and its intrinsics [4].

    Raises:
        ValueError: a distortion that leaves nothing of the picture.
    """
    if not any(distortion):
        return image, intrinsics
    height, width = image.shape[:2]
    columns, rows, lens = _undistortion(tuple(intrinsics.tolist()), distortion, width, height)
    return cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), lens.copy()


@lru_cache(maxsize=2)
def _undistortion(
    intrinsics: tuple[float, ...], distortion: tuple[float, ...], width: int, height: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the maps of a remapping and the new intrinsics; all views of a camera share them."""
    fx, fy, cx, cy = intrinsics
    matrix = np.array([[fx, 0.0, cx - 0.5], [0.0, fy, cy - 0.5], [0.0, 0.0, 1.0]])
    bends = np.array(distortion)
    kept, _ = cv2.getOptimalNewCameraMatrix(matrix, bends, (width, height), 0.0)
    lens = np.array([kept[0, 0], kept[1, 1], kept[0, 2] + 0.5, kept[1, 2] + 0.5])
    columns, rows = cv2.initUndistortRectifyMap(matrix, bends, None, kept, (width, height), cv2.CV_32FC1)
    folded = not np.isfinite(lens).all() or (np.diff(columns, axis=1) <= 0).any() or (np.diff(rows, axis=0) <= 0).any()
    beyond = max(
        max(-float(places.min()), float(places.max()) + 1 - side) / side
        for places, side in ((columns, width), (rows, height))
    )
    if folded or beyond > _BEYOND:
        names = ", ".join(
            f"{name}={value:g}" for name, value in zip(("k1", "k2", "p1", "p2", "k3"), bends, strict=True)
        )
        raise ValueError(f"distortion {names} leaves nothing of a picture of {height} x {width}; allowed: a lens")
    return columns, rows, lens


def fit_views(
    images: np.ndarray, intrinsics: np.ndarray | None, frame_size: tuple[int, int], focal: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Resample views [n, H, W, 3] for a world; see `li_env.scans.scan.Scan.fitted`.

    Returns:
        images [n, height, width, 3] and their intrinsics [4]; the arguments themselves where nothing changes.

    Raises:
        ValueError: views that show too little, or have another shape.
    """
    height, width = frame_size
    had = images.shape[1:3]
    if intrinsics is None:
        if had == (height, width):
            return images, None
        if abs(had[0] * width / (had[1] * height) - 1) > _SHAPE:
            raise ValueError(
                f"scan of another frame shape than the world can use: its images are {had[0]} x {had[1]} and have no "
                f"intrinsics, the world's frames {height} x {width}; allowed: the same shape, or intrinsics"
            )
        return np.stack([_resized(image, width, height) for image in images]), None
    wanted = np.array([focal[0] * width, focal[1] * height, width / 2, height / 2])
    lenses = np.broadcast_to(intrinsics, (len(images), 4))
    if had == (height, width) and np.abs(lenses - wanted).max() < _SAME * max(width, height):
        return images, intrinsics
    for lens in np.unique(lenses, axis=0):
        _check_shown(lens, had, wanted, frame_size)
    return np.stack(
        [_seen(image, lens, wanted, frame_size) for image, lens in zip(images, lenses, strict=True)]
    ), wanted


def _check_shown(lens: np.ndarray, had: tuple[int, ...], wanted: np.ndarray, frame_size: tuple[int, int]) -> None:
    """Refuse a lens that leaves more than the rim of a frame empty."""
    for name, axis, side in (("width", 0, 1), ("height", 1, 0)):
        near, far = np.array([-wanted[2 + axis], frame_size[side] - wanted[2 + axis]]) / wanted[axis]
        low, high = np.array([-lens[2 + axis], had[side] - lens[2 + axis]]) / lens[axis]
        shown = (min(far, high) - max(near, low)) / (far - near)
        if shown < LEAST_SHOWN:
            angles = [float(np.degrees(np.arctan(two) - np.arctan(one))) for one, two in ((low, high), (near, far))]
            raise ValueError(
                f"scan of another frame shape than the world can use: along the {name} its views show "
                f"{angles[0]:.0f} degrees, {max(shown, 0):.0%} of the world's {angles[1]:.0f}; allowed: at least "
                f"{LEAST_SHOWN:.0%}, as with a wider lens"
            )


def _seen(image: np.ndarray, lens: np.ndarray, wanted: np.ndarray, frame_size: tuple[int, int]) -> np.ndarray:
    """Return what the wanted lens sees of an image, its rim repeated beyond it."""
    height, width = frame_size
    shrink = np.minimum(wanted[:2] / lens[:2], 1.0)
    if (shrink < 1.0).any():  # pixels are averaged first, or fine patterns would flicker
        size = np.maximum(np.round(np.array(image.shape[1::-1]) * shrink).astype(int), 1)
        lens = lens * np.tile(size / np.array(image.shape[1::-1]), 2)
        image = _resized(image, *size.tolist())
    steps = lens[:2] / wanted[:2]  # pixels of the image per pixel of the frame
    shift = lens[2:] - steps * wanted[2:] + (steps - 1) / 2
    if np.allclose(steps, 1.0, atol=1e-9) and np.allclose(shift, np.round(shift), atol=1e-6):
        steps, shift = np.ones(2), np.round(shift)
    matrix = np.array([[steps[0], 0.0, shift[0]], [0.0, steps[1], shift[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _resized(image: np.ndarray, width: int, height: int) -> np.ndarray:
    if image.shape[:2] == (height, width):
        return image
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
