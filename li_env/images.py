"""Start images: reading, checking and fitting them to a world's frame size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np


def read_image(path: str | Path) -> np.ndarray:
    """Read an image file as uint8 [H, W, 3], RGB.

    Raises:
        ValueError: the file is absent or not an image that OpenCV reads.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"image {str(path)!r} does not exist; allowed: a PNG, JPEG or WebP file")
    # Decoding from memory: cv2.imread cannot open every path and writes warnings of its own.
    image = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR) if path.stat().st_size else None
    if image is None:
        raise ValueError(f"image {str(path)!r} cannot be decoded; allowed: a PNG, JPEG or WebP file")
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
    covering = (max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale)))
    resized = cv2.resize(image, covering, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (resized.shape[0] - height) // 2, (resized.shape[1] - width) // 2
    return np.ascontiguousarray(resized[top : top + height, left : left + width])


def fit_note(image: np.ndarray, size: tuple[int, int]) -> str | None:
    """What `fit_image` does to ``image``, in words; None if it already has ``size``."""
    if image.shape[:2] == size:
        return None
    height, width = image.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    what = f"image of {height} x {width} scaled by {scale:.3f} to cover {size[0]} x {size[1]}"
    same_shape = height * size[1] == width * size[0]
    return what if same_shape else f"{what} and cropped around its centre"
