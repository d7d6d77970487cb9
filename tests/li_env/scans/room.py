"""Views of a box-shaped room with walls of noise, and files of scans written by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from li_env.recording import write_png
from li_env.scans.scan import Scan

LENS = np.array([32.0, 32.0, 32.0, 24.0])
"""Intrinsics of the views: 48 x 64 pixels, 90 degrees wide."""

FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
"""Turns OpenCV's camera axes into OpenGL's and back."""

_HALF = np.array([5.0, 2.0, 5.0])
_PATCHES = np.random.default_rng(7).integers(0, 256, (6, 24, 24, 3)).astype(np.uint8)
_TEXTURES = [cv2.resize(patches, (64, 64), interpolation=cv2.INTER_CUBIC) for patches in _PATCHES]


def level(x: float, z: float, yaw: float) -> np.ndarray:
    """Return a level camera [4, 4] at (x, z) that looks ``yaw`` degrees to the right of z."""
    cosine, sine = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    return np.array([[cosine, 0, sine, x], [0, 1, 0, 0], [-sine, 0, cosine, z], [0, 0, 0, 1.0]])


def view(pose: np.ndarray) -> np.ndarray:
    """Render uint8 [48, 64, 3]: the walls of the room where the rays of the pixels meet them."""
    columns, rows = np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5)
    rays = np.stack([(columns - LENS[2]) / LENS[0], (rows - LENS[3]) / LENS[1], np.ones_like(rows)], -1)
    rays = rays @ pose[:3, :3].T
    with np.errstate(divide="ignore"):
        reach = np.where(rays == 0, np.inf, (np.sign(rays) * _HALF - pose[:3, 3]) / rays)
    axis = reach.argmin(-1)
    hit = (pose[:3, 3] + reach.min(-1, keepdims=True) * rays) / _HALF * 31 + 31.5
    image = np.zeros((48, 64, 3), dtype=np.uint8)
    for side in range(3):
        one, two = (each for each in range(3) if each != side)
        for sign in (0, 1):
            seen = (axis == side) & ((rays[..., side] > 0) == sign)
            places = hit[..., one].astype(np.float32), hit[..., two].astype(np.float32)
            image[seen] = cv2.remap(_TEXTURES[2 * side + sign], *places, cv2.INTER_LINEAR)[seen]
    return image


def room_poses(spots: int = 4, headings: int = 8) -> np.ndarray:
    """Return cameras [spots * headings, 4, 4]: all headings of a spot, then the next spot."""
    places = [(-2.0 + 1.3 * index, -1.5 + 0.9 * index) for index in range(spots)]
    return np.stack([level(x, z, turn * 360 / headings) for x, z in places for turn in range(headings)])


def room_scan(spots: int = 4, headings: int = 8) -> Scan:
    poses = room_poses(spots, headings)
    return Scan(np.stack([view(pose) for pose in poses]), poses, LENS)


def noise(count: int, height: int = 6, width: int = 8) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def write_transforms(folder: Path, matrices: Sequence[Any], images: np.ndarray | None = None, **keys: Any) -> Path:
    """Write ``transforms.json`` with PNG images; ``frames`` among the keys adds keys to each frame."""
    images = noise(len(matrices)) if images is None else images
    (folder / "images").mkdir(parents=True, exist_ok=True)
    more = keys.pop("frames", [{}] * len(matrices))
    frames = []
    for index, (matrix, image, each) in enumerate(zip(matrices, images, more, strict=True)):
        write_png(folder / f"images/{index}.png", image)
        frames.append({"file_path": f"images/{index}.png", "transform_matrix": np.asarray(matrix).tolist(), **each})
    (folder / "transforms.json").write_text(json.dumps({**keys, "frames": frames}))
    return folder
