"""Start images: reading, checking and fitting them to a world's frame size."""

from __future__ import annotations

import io
import warnings
from math import ceil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from li_env.files import read_bytes
from li_env.validation import shown

MOST_PIXELS = 2**26
"""Pixels of an image file: 200 MB when decoded."""

MOST_BYTES = 2**28
"""Bytes of an image file."""

ALLOWED = "a PNG, JPEG or WebP file"

_SPARE = 4  # times the pixels of image and frame: an image that would grow more is cropped before it is scaled
_MARGIN = 2  # pixels of the image around what is seen


def read_image(path: str | Path, turned: bool = True) -> np.ndarray:
    """Read an image file as uint8 [H, W, 3], RGB.

    Args:
        path: of the file.
        turned: turn the image as the camera noted that it was held; without, rows and columns are those of the sensor.

    Raises:
        ValueError: the file is absent, no PNG, JPEG or WebP, damaged, or has more than `MOST_PIXELS` pixels.
    """
    data = read_bytes(path, "image", MOST_BYTES, ALLOWED)
    where = shown(str(path))
    try:
        with warnings.catch_warnings(action="ignore"):  # about the size, which is looked at here
            width, height = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")).size
    except Image.DecompressionBombError:
        raise ValueError(f"image={where} has too many pixels; allowed: at most {MOST_PIXELS:,}") from None
    except Exception:  # a damaged file can raise any error in the library
        raise ValueError(f"image={where} cannot be decoded; allowed: {ALLOWED}") from None
    if width * height > MOST_PIXELS:
        raise ValueError(f"image={where} has {height} x {width} pixels; allowed: at most {MOST_PIXELS:,}")
    try:
        flags = cv2.IMREAD_COLOR if turned else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise ValueError(f"image={where} cannot be decoded; allowed: {ALLOWED}")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def fit_image(image: Any, size: tuple[int, int]) -> np.ndarray:
    """Check an image and bring it to ``size`` = (height, width).

    An image of exactly that size is copied unchanged. Any other is scaled until it covers the frame (averaging pixels
    when it shrinks) and cropped around its centre, so that nothing is squeezed.

    Returns:
        uint8 [height, width, 3], a new array.

    Raises:
        ValueError: not a uint8 array [H, W, 3].
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        what = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"image={what} is not usable; allowed: a numpy array uint8 [height, width, 3], RGB")
    if 0 in image.shape:
        raise ValueError(f"image={list(image.shape)} is empty; allowed: uint8 [height, width, 3], RGB")
    height, width = size
    if image.shape[:2] == size:
        return image.copy()
    scale = max(height / image.shape[0], width / image.shape[1])
    if image.shape[0] * image.shape[1] * scale**2 > _SPARE * (image.shape[0] * image.shape[1] + height * width):
        image = _middle(image, height / scale, width / scale)
    covering = (max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale)))
    resized = cv2.resize(image, covering, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (resized.shape[0] - height) // 2, (resized.shape[1] - width) // 2
    return np.ascontiguousarray(resized[top : top + height, left : left + width])


def _middle(image: np.ndarray, height: float, width: float) -> np.ndarray:
    """Crop the image to the part that stays visible, plus the margin that scaling reads."""
    kept = []
    for length, seen in zip(image.shape[:2], (height, width), strict=True):
        edge = max(0, (length - ceil(seen)) // 2 - _MARGIN)
        kept.append(slice(edge, length - edge))  # as much on both sides, so that the middle stays the middle
    return image[kept[0], kept[1]]


def fit_note(image: np.ndarray, size: tuple[int, int]) -> str | None:
    """Say in words how `fit_image` changes ``image``; None if the image already has ``size``."""
    if image.shape[:2] == size:
        return None
    height, width = image.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    what = f"image of {height} x {width} scaled by {scale:.3f} to cover {size[0]} x {size[1]}"
    same_shape = height * size[1] == width * size[0]
    return what if same_shape else f"{what} and cropped around its centre"
