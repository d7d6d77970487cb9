"""NumPy files: ``images``, ``poses`` and, if wanted, ``intrinsics`` and ``map_seed``."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from li_env.scans.axes import other_cameras
from li_env.scans.views import MOST_BYTES, Views
from li_env.validation import MOST_SEED, check_whole, shortened, shown, shown_path

ALLOWED = "an .npz file with arrays 'images' [n, H, W, 3] uint8 and 'poses' [n, 4, 4]"


def read(path: Path, axes: str | None, every: int) -> Views:
    """Read a file of arrays.

    Raises:
        ValueError: a damaged file, pickled objects, or an array that is missing.
    """
    stored = read_arrays(path, ("images", "poses"), ("intrinsics", "map_seed"), ALLOWED)
    images, poses, intrinsics = stored["images"], stored["poses"], stored.get("intrinsics")
    seed = stored.get("map_seed")
    if intrinsics is not None and intrinsics.ndim == 2:
        if len(intrinsics) != len(images):
            raise ValueError(
                f"{shown_path(path)}: {len(intrinsics)} intrinsics for {len(images)} images; allowed: one each"
            )
        intrinsics = intrinsics[::every]
    if len(images) != len(poses):
        raise ValueError(f"{shown_path(path)}: {len(images)} images, {len(poses)} poses; one each is needed")
    poses = poses[::every].astype(np.float64)
    if axes == "opengl":
        poses = other_cameras(poses)
    return Views(images[::every], poses, intrinsics, _map_seed(seed))


def map_of(path: Path) -> int | None:
    """Read the map of a file of arrays, without the pictures.

    Raises:
        ValueError: as `read`.
    """
    return _map_seed(read_arrays(path, (), ("map_seed",), ALLOWED).get("map_seed"))


def _map_seed(stored: np.ndarray | None) -> int | None:
    if stored is None:
        return None
    return check_whole("map_seed", stored.item() if stored.size == 1 else stored, 0, MOST_SEED)


def read_arrays(path: Path, needed: tuple[str, ...], optional: tuple[str, ...], allowed: str) -> dict[str, np.ndarray]:
    """Read numeric arrays by name.

    Raises:
        ValueError: a damaged or endless file, pickled objects, no numbers, or an array that is missing; names it.
    """
    name = f"scan={shown(str(path))}"
    try:
        with zipfile.ZipFile(path) as file:
            size = sum(entry.file_size for entry in file.infolist())
        if size > MOST_BYTES:
            raise ValueError(f"holds {size / 2**30:.1f} GiB")
        with np.load(path, allow_pickle=False) as stored:
            found = {key: stored[key] for key in (*needed, *optional) if key in stored.files}
            there = list(stored.files)
    except (ValueError, OSError, EOFError, KeyError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
        raise ValueError(f"{name} cannot be read ({shortened(error, 80)}); allowed: {allowed}") from None
    for key in needed:
        if key not in found:
            raise ValueError(f"{name}: array {key!r} is missing (found: {shown(there)}); allowed: {allowed}")
    for key, values in found.items():
        if values.dtype.kind not in "uif" or (key == "poses" and values.ndim < 1):
            raise ValueError(f"{name}: array {key!r} is {values.dtype} {list(values.shape)}; allowed: {allowed}")
    return found
