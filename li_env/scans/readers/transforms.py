"""``transforms.json``, as Nerfstudio, instant-ngp and `li_env.scans.scan.Scan.save` write it.

A frame has ``file_path`` and ``transform_matrix``, camera-to-world with OpenGL axes. The lens is ``fl_x``, ``fl_y``,
``cx``, ``cy``, ``w``, ``h`` in pixels or ``camera_angle_x`` in radians, with distortion ``k1``, ``k2``, ``k3``, ``p1``,
``p2``, for all frames or per frame.
``applied_transform`` and ``applied_scale`` say how the poses were changed after the capture; both are undone.
instant-ngp's ``scale`` and ``offset`` place the scene inside its own cube and do not concern the poses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from li_env.files import read_json
from li_env.scans.axes import other_cameras, upright
from li_env.scans.views import Lens, Views, check_count, load, read_picture
from li_env.validation import MOST_LENGTH, MOST_SEED, check_choice, check_mapping, check_number, check_text, check_whole

NAME = "transforms.json"
"""Name of the file in a scan's folder."""

OWN = "li_env"
"""Key of files that this project wrote: their world is upright, whatever its cameras do."""

_SUFFIXES = ("", ".png", ".jpg", ".jpeg")  # Blender's files leave the suffix out
_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE")
_LENS = ("fl_x", "fl_y", "camera_angle_x", "camera_angle_y", "cx", "cy", "w", "h", "k1", "k2", "k3", "k4", "p1", "p2")
_MOST_PIXELS = 1e6


def read(file: Path, axes: str | None, every: int, turn_upright: bool) -> Views:
    """Read the frames of a file.

    Args:
        file: the JSON file; names of pictures are relative to its folder.
        axes: of the cameras, OpenGL by default.
        every: read the first of every ``every`` frames.
        turn_upright: turn the world so that y points down.

    Raises:
        ValueError: a damaged file, a missing or unreadable picture, or a lens that is not supported.
    """
    data = check_mapping(file.name, read_json(file, "scan", "a transforms.json"))
    frames = data.get("frames")
    if not isinstance(frames, list) or not frames:
        raise ValueError(f"{file.name}: 'frames' holds no frames; allowed: a list, one entry per picture")
    check_count(len(frames), every, file.name)
    frames = [check_mapping(f"{file.name} frame {index}", each) for index, each in enumerate(frames)][::every]
    names = [f"{file.name} frame {index * every}" for index in range(len(frames))]
    poses = np.stack([_matrix(name, each) for name, each in zip(names, frames, strict=True)])
    poses = _as_captured(data, poses, file.name)
    poses = poses if axes == "opencv" else other_cameras(poses)
    map_seed = _map_seed(data, file.name)
    if turn_upright and data.get(OWN) is None:
        poses = upright(poses)
    paths = [_picture(file.parent, name, each) for name, each in zip(names, frames, strict=True)]
    images, intrinsics = load(paths, _lenses(data, frames, names, paths, file.name))
    return Views(images, poses, intrinsics, map_seed)


def map_of(file: Path) -> int | None:
    """Read the map of a file, without its frames.

    Raises:
        ValueError: a damaged file.
    """
    return _map_seed(check_mapping(file.name, read_json(file, "scan", "a transforms.json")), file.name)


def _map_seed(data: Mapping[str, Any], name: str) -> int | None:
    own = data.get(OWN)
    seed = None if own is None else check_mapping(f"{name} {OWN}", own).get("map_seed")
    return None if seed is None else check_whole("map_seed", seed, 0, MOST_SEED)


def _matrix(name: str, frame: Mapping[str, Any]) -> np.ndarray:
    try:
        matrix = np.array(frame.get("transform_matrix"), dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape == (3, 4):
        matrix = np.concatenate([matrix, [[0.0, 0.0, 0.0, 1.0]]])
    if matrix.shape != (4, 4):
        raise ValueError(f"{name}: 'transform_matrix' is no 4 x 4 matrix; allowed: camera-to-world, row by row")
    return matrix


def _as_captured(data: Mapping[str, Any], poses: np.ndarray, name: str) -> np.ndarray:
    """Undo what was applied to the poses after the capture: first the scale, then the transform."""
    if "applied_scale" in data:
        factor = check_number(f"{name} applied_scale", data["applied_scale"], 0, 1e9, above=True)
        poses = poses.copy()
        poses[:, :3, 3] /= factor
    if "applied_transform" not in data:
        return poses
    applied = _matrix(f"{name} applied_transform", {"transform_matrix": data["applied_transform"]})
    rotation = applied[:3, :3]
    if not np.isfinite(applied).all() or not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4):
        raise ValueError(f"{name}: 'applied_transform' is no rotation and shift; allowed: [3, 4] of length 1")
    undone: np.ndarray = np.linalg.inv(applied) @ poses
    return undone


def _picture(folder: Path, name: str, frame: Mapping[str, Any]) -> Path:
    given = check_text(f"{name} file_path", frame.get("file_path"))
    path = folder / given.replace("\\", "/")
    for suffix in _SUFFIXES:
        candidate = path.with_name(path.name + suffix)
        if candidate.is_file():
            return candidate
    raise ValueError(f"{name}: picture {given!r} is not there; allowed: a PNG, JPEG or WebP file beside the poses")


def _lenses(
    data: Mapping[str, Any], frames: list[Mapping[str, Any]], names: list[str], paths: list[Path], where: str
) -> list[Lens] | Lens | None:
    """Return the lens of all frames, or one per frame where a frame has keys of its own."""
    if not any(key in frame for frame in frames for key in _LENS):
        return _lens(where, data, paths[0])
    lenses = [_lens(name, {**data, **frame}, path) for name, frame, path in zip(names, frames, paths, strict=True)]
    without = [name for name, lens in zip(names, lenses, strict=True) if lens is None]
    if without:
        raise ValueError(f"{without[0]}: 'fl_x' is missing; other frames have it")
    return [lens for lens in lenses if lens is not None]


def _lens(where: str, keys: Mapping[str, Any], path: Path) -> Lens | None:
    if "camera_model" in keys:
        check_choice(f"{where} camera_model", keys["camera_model"], _MODELS)
    if "fl_x" not in keys and "camera_angle_x" not in keys:
        return None

    def number(key: str, default: float, least: float = -_MOST_PIXELS) -> float:
        return float(check_number(f"{where} {key}", keys.get(key, default), least, _MOST_PIXELS, above=least == 0))

    if "w" in keys and "h" in keys:
        width, height = (int(number(key, 0, 0)) for key in ("w", "h"))
    else:
        height, width = read_picture(path).shape[:2]

    def focal(pixels: str, angle: str, side: int) -> float:
        return number(pixels, 0, 0) if pixels in keys else side / 2 / math.tan(number(angle, 0, 0) / 2)

    fx = focal("fl_x", "camera_angle_x", width)
    fy = focal("fl_y", "camera_angle_y", height) if {"fl_y", "camera_angle_y"} & keys.keys() else fx
    if not (0 < fx < MOST_LENGTH and 0 < fy < MOST_LENGTH):
        raise ValueError(
            f"{where}: a focal length of ({fx:.4g}, {fy:.4g}) pixels is not allowed; use an angle below pi"
        )
    if number("k4", 0.0):
        raise ValueError(f"{where} k4={keys['k4']} is not supported; allowed: k1, k2, k3, p1, p2")
    distortion = tuple(number(key, 0.0) for key in ("k1", "k2", "p1", "p2", "k3"))
    return Lens((fx, fy, number("cx", width / 2), number("cy", height / 2)), (width, height), distortion)
