"""A video and the poses of its frames, in a file beside it.

The file is ``poses``, ``camera`` or the video's own name, with one of these suffixes:

- ``.npz``: ``poses`` (or ``extrinsics_c2w``) [n, 4, 4] and, if wanted, ``frames`` [n] and ``intrinsics`` [4] or [n, 4];
- ``.json``: the same keys as lists;
- ``.csv``: a line of names, then ``x, y, z, qw, qx, qy, qz`` per pose and, if wanted, ``frame``.

Without numbers of frames there is one pose per frame.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from li_env.files import read_json, read_text
from li_env.recording import video_frames
from li_env.scans.axes import other_cameras
from li_env.scans.readers.arrays import read_arrays
from li_env.scans.readers.colmap import rotation_of
from li_env.scans.views import Views, check_bytes, check_count
from li_env.validation import check_mapping, shown, shown_path

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi")

_NAMES = ("poses", "camera")
_MOST = 2**26
_PLACE, _TURN = ("x", "y", "z"), ("qw", "qx", "qy", "qz")


def find(path: Path) -> Path | None:
    """Return the video of a folder: ``video.mp4``, or the first one that has poses."""
    videos = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    if path / "video.mp4" in videos:
        return path / "video.mp4"
    return next((file for file in videos if pose_file(file) is not None), None)


def pose_file(video: Path) -> Path | None:
    """Return the file with the poses of a video."""
    for name in (video.stem, *_NAMES):
        for suffix in (".npz", ".json", ".csv"):
            if (video.parent / f"{name}{suffix}").is_file():
                return video.parent / f"{name}{suffix}"
    return None


def read(video: Path, axes: str | None, every: int) -> Views:
    """Read the frames that have poses, the first of every ``every``.

    Raises:
        ValueError: no poses beside the video, more or fewer than frames, or a damaged file.
    """
    file = pose_file(video)
    if file is None:
        raise ValueError(
            f"scan={shown(str(video))} has no poses; looked for {video.stem}, poses or camera with .npz, .json or .csv"
        )
    poses, frames, intrinsics = _READERS[file.suffix](file)
    poses = poses if axes != "opengl" else other_cameras(poses)
    check_count(len(poses), every, file.name)
    if frames is not None and len(frames) != len(poses):
        raise ValueError(f"{shown_path(file)}: {len(frames)} frames, {len(poses)} poses; one each is needed")
    if intrinsics is not None and intrinsics.ndim == 2:
        if len(intrinsics) != len(poses):
            raise ValueError(
                f"{shown_path(file)}: {len(intrinsics)} intrinsics, {len(poses)} poses; one each is needed"
            )
        intrinsics = intrinsics[::every]
    images = picked(video, np.arange(len(poses)) if frames is None else frames, every, exact=frames is None)
    return Views(images, poses[::every], intrinsics)


def picked(video: Path, frames: np.ndarray, every: int, exact: bool = False) -> np.ndarray:
    """Decode the frames [n] of a video, the first of every ``every``: uint8 [n / every, H, W, 3].

    Raises:
        ValueError: a number that the video does not have, a damaged video, or with ``exact`` further frames.
    """
    places: dict[int, list[int]] = {}
    for place, frame in enumerate(frames[::every].tolist()):
        places.setdefault(int(frame), []).append(place)
    last = int(frames.max())
    images, found, index = np.empty((0,), dtype=np.uint8), 0, -1
    for index, image in enumerate(video_frames(video)):
        if index > last:
            break
        for place in places.get(index, ()):
            if not found:
                check_bytes(-(-len(frames) // every), image.shape)
                images = np.empty((-(-len(frames) // every), *image.shape), dtype=np.uint8)
            images[place] = image
            found += 1
    if index > last and exact:
        raise ValueError(f"{shown_path(video)} has more frames than the {last + 1} poses; name the frames ('frames')")
    if index < last or int(frames.min()) < 0:
        wrong = last if index < last else int(frames.min())
        raise ValueError(f"{shown_path(video)} has {index + 1} frames, poses name frame {wrong}; allowed: 0 to {index}")
    return images


Poses = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]
"""Poses [n, 4, 4], numbers of frames [n] or None, intrinsics or None."""


def _from_npz(file: Path) -> Poses:
    allowed = "an .npz file with an array 'poses' [n, 4, 4]"
    keys = ("poses", "extrinsics_c2w", "frames", "intrinsics")
    return _checked(file, read_arrays(file, (), keys, allowed))


def _from_json(file: Path) -> Poses:
    data = read_json(file, "scan", "a JSON file with 'poses' [n, 4, 4]", _MOST)
    if isinstance(data, list):
        data = {"poses": data}
    found: dict[str, Any] = dict(check_mapping(file.name, data))
    arrays = {}
    for key in ("poses", "frames", "intrinsics"):
        if found.get(key) is not None:
            try:
                arrays[key] = np.array(found[key], dtype=np.float64)
            except (TypeError, ValueError):
                raise ValueError(f"{file.name}: {key!r} holds something else than numbers of one shape") from None
    return _checked(file, arrays)


def _from_csv(file: Path) -> Poses:
    lines = csv.DictReader(io.StringIO(read_text(file, "scan", _MOST, "a CSV file of poses")), skipinitialspace=True)
    names = lines.fieldnames or ()
    missing = [name for name in (*_PLACE, *_TURN) if name not in names]
    if missing:
        raise ValueError(f"{file.name}: column {missing[0]!r} is missing; allowed: x, y, z, qw, qx, qy, qz, frame")
    poses, frames = [], []
    for row in _numbers(file, lines, (*_PLACE, *_TURN, *(["frame"] if "frame" in names else []))):
        quaternion = np.array([row[name] for name in _TURN])
        if abs(np.linalg.norm(quaternion) - 1) > 0.01:
            raise ValueError(f"{file.name}:{lines.line_num}: qw, qx, qy, qz have another length than 1")
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation_of(quaternion), [row[name] for name in _PLACE]
        poses.append(pose)
        frames.append(row.get("frame"))
    arrays = {"poses": np.array(poses).reshape(-1, 4, 4)}
    return _checked(file, arrays | ({"frames": np.array(frames, dtype=np.float64)} if "frame" in names else {}))


def _numbers(file: Path, lines: csv.DictReader[str], names: Sequence[str]) -> Iterator[dict[str, float]]:
    try:
        for row in lines:
            numbers = {name: float(row[name]) for name in names}
            if not np.isfinite(list(numbers.values())).all():
                raise ValueError
            yield numbers
    except (TypeError, ValueError, csv.Error):
        raise ValueError(f"{file.name}:{lines.line_num}: not a line of finite numbers") from None


def _checked(file: Path, arrays: dict[str, np.ndarray]) -> Poses:
    poses = arrays.get("poses", arrays.get("extrinsics_c2w"))
    if poses is None:
        raise ValueError(f"{file.name}: 'poses' is missing; allowed: camera-to-world matrices [n, 4, 4]")
    if poses.ndim != 3 or poses.shape[1:] != (4, 4):
        raise ValueError(f"{file.name}: 'poses' has shape {list(poses.shape)}; allowed: [n, 4, 4]")
    frames, intrinsics = arrays.get("frames"), arrays.get("intrinsics")
    if frames is not None and (frames.ndim != 1 or not np.isfinite(frames).all() or (frames % 1 != 0).any()):
        raise ValueError(f"{file.name}: 'frames' is not usable; allowed: whole numbers [n], from 0 up")
    return poses.astype(np.float64), None if frames is None else frames.astype(np.int64), intrinsics


_READERS = {".npz": _from_npz, ".json": _from_json, ".csv": _from_csv}
