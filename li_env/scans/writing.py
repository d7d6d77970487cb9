"""Writer of scans: a folder in Nerfstudio's format, or one NumPy file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from li_env.files import atomic_folder, atomic_write, check_file, check_folder
from li_env.recording import encode_png
from li_env.scans.axes import other_cameras
from li_env.scans.readers.transforms import NAME, OWN
from li_env.validation import shown

IMAGES = "images"
"""Folder of the pictures in a scan's folder."""


def write_views(
    path: Path, images: np.ndarray, poses: np.ndarray, intrinsics: np.ndarray | None, map_seed: int | None
) -> None:
    """Write views; see `li_env.scans.scan.Scan.save`."""
    if path.suffix == ".npz":
        _write_arrays(path, images, poses, intrinsics, map_seed)
        return
    check_target(path)
    if path.is_dir():
        path.rmdir()
    path = path.absolute()
    with atomic_folder(path.parent) as temporary:  # the folder is moved as a whole
        folder = temporary / path.name
        (folder / IMAGES).mkdir(parents=True)
        names = [f"{IMAGES}/view_{index:04d}.png" for index in range(len(images))]
        for name, image in zip(names, images, strict=True):
            (folder / name).write_bytes(encode_png(image))
        text = json.dumps(_transforms(names, images.shape, poses, intrinsics, map_seed), indent=1)
        (folder / NAME).write_text(text + "\n", encoding="utf-8")


def check_target(path: Path) -> Path:
    """Return the path of a folder that a scan can be written to.

    Raises:
        ValueError: it is not empty, or cannot be written to.
    """
    check_folder("out", path)
    if path.is_dir() and any(path.iterdir()):
        raise ValueError(f"out={shown(str(path))} is not empty; allowed: a new or empty folder, or a file .npz")
    return path


def _write_arrays(
    path: Path, images: np.ndarray, poses: np.ndarray, intrinsics: np.ndarray | None, map_seed: int | None
) -> None:
    check_file("out", path)
    arrays = {"images": images, "poses": poses}
    if intrinsics is not None:
        arrays["intrinsics"] = intrinsics
    if map_seed is not None:
        arrays["map_seed"] = np.array(map_seed)
    with atomic_write(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)


def _transforms(
    names: list[str],
    shape: tuple[int, ...],
    poses: np.ndarray,
    intrinsics: np.ndarray | None,
    map_seed: int | None,
) -> dict[str, Any]:
    """Return the content of ``transforms.json``; numbers keep all their digits."""
    frames: list[dict[str, Any]] = [
        {"file_path": name, "transform_matrix": pose.tolist()}
        for name, pose in zip(names, other_cameras(poses), strict=True)
    ]
    lens: dict[str, Any] = {}
    if intrinsics is not None:
        lens = {"camera_model": "PINHOLE", "w": shape[2], "h": shape[1]}
        if intrinsics.ndim == 1:
            lens |= _lens(intrinsics)
        else:
            frames = [{**frame, **_lens(each)} for frame, each in zip(frames, intrinsics, strict=True)]
    own = {} if map_seed is None else {"map_seed": map_seed}
    return {**lens, OWN: own, "frames": frames}


def _lens(intrinsics: np.ndarray) -> dict[str, float]:
    return dict(zip(("fl_x", "fl_y", "cx", "cy"), intrinsics.tolist(), strict=True))
