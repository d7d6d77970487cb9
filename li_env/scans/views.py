"""Views as a reader finds them, before they become a scan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from li_env.images import read_image
from li_env.scans.checks import MAX_VIEWS
from li_env.scans.lens import undistorted

MOST_BYTES = 2**33
"""Bytes of the pictures of a scan."""

Picture = Path | Callable[[], np.ndarray]
"""File of a picture, or a function that returns it."""


@dataclass(frozen=True, eq=False)
class Views:
    """Posed pictures.

    Attributes:
        images: uint8 [n, H, W, 3].
        poses: [n, 4, 4] camera-to-world, OpenCV axes.
        intrinsics: [4] or [n, 4] in pixels, or None.
        map_seed: of the map that they show, if it is known.
    """

    images: np.ndarray
    poses: np.ndarray
    intrinsics: np.ndarray | None = None
    map_seed: int | None = None


@dataclass(frozen=True)
class Lens:
    """Lens of a file.

    Attributes:
        intrinsics: (fx, fy, cx, cy) in pixels of a picture of ``size``.
        size: (width, height), or None for that of the pictures.
        distortion: k1, k2, p1, p2, k3 as OpenCV defines them.
    """

    intrinsics: tuple[float, float, float, float]
    size: tuple[int, int] | None = None
    distortion: tuple[float, ...] = ()


def check_count(count: int, every: int, where: str) -> None:
    """Refuse more views than a scan may have, before any is decoded.

    Raises:
        ValueError: no view, or more than `MAX_VIEWS`.
    """
    kept = -(-count // every)
    if not 0 < kept <= MAX_VIEWS:
        fit = -(-count // MAX_VIEWS)
        hint = f"; use every={fit} or more" if count else ""
        raise ValueError(f"{where}: {kept:,} views; allowed: 1 to {MAX_VIEWS:,}{hint}")


def load(paths: Sequence[Path], lenses: Sequence[Lens] | Lens | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Read pictures of one size and undo their distortion.

    Args:
        paths: of the pictures.
        lenses: one for all, one per picture, or None.

    Returns:
        images uint8 [n, H, W, 3] and intrinsics, [4] for one lens and [n, 4] for one per picture.

    Raises:
        ValueError: a picture that cannot be read, is of another size, or does not fit its lens; names the file.
    """
    images = np.empty((0,))
    found: list[np.ndarray] = []
    for index, path in enumerate(paths):
        image = read_picture(path)
        if not index:
            check_bytes(len(paths), image.shape)
            images = np.empty((len(paths), *image.shape), dtype=np.uint8)
        if image.shape != images.shape[1:]:
            size, first = (f"{each[0]} x {each[1]}" for each in (image.shape, images.shape[1:]))
            raise ValueError(f"image={path.name!r} is {size}, the first one {first}; allowed: pictures of one size")
        lens = lenses[index] if isinstance(lenses, Sequence) else lenses
        if lens is not None:
            image, intrinsics = _without_lens(image, lens, path)
            found.append(intrinsics)
        images[index] = image
    if lenses is None:
        return images, None
    return images, np.stack(found) if isinstance(lenses, Sequence) else found[0]


def read_picture(path: Path) -> np.ndarray:
    """Read a picture as its poses were computed: COLMAP and Nerfstudio never turn it.

    Raises:
        ValueError: not readable; names the file however long its folder's name is.
    """
    try:
        return read_image(path, turned=False)
    except ValueError as error:
        raise ValueError(f"picture {path.name!r}: {error}") from None


def check_bytes(count: int, shape: tuple[int, ...]) -> None:
    """Refuse pictures that would fill the memory.

    Raises:
        ValueError: more than `MOST_BYTES`.
    """
    size = count * int(np.prod(shape))
    if size > MOST_BYTES:
        raise ValueError(
            f"scan: {count:,} pictures of {shape[0]} x {shape[1]} take {size / 2**30:.1f} GiB; allowed: "
            f"{MOST_BYTES / 2**30:.0f} GiB; use smaller pictures or every="
        )


def _without_lens(image: np.ndarray, lens: Lens, path: Path) -> tuple[np.ndarray, np.ndarray]:
    height, width = image.shape[:2]
    intrinsics = np.array(lens.intrinsics)
    if lens.size is not None and lens.size != (width, height):
        grown = np.array([width / lens.size[0], height / lens.size[1]])
        if abs(lens.size[1] * grown[0] - height) > 1 and abs(lens.size[0] * grown[1] - width) > 1:
            raise ValueError(
                f"image={path.name!r} is {height} x {width}, its camera {lens.size[1]} x {lens.size[0]}; allowed: the "
                "same size, or a smaller picture of the same shape"
            )
        intrinsics = intrinsics * np.tile(grown, 2)
    return undistorted(image, intrinsics, lens.distortion)
