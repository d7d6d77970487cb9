"""Recorded datasets (``li-env collect``): all their formats hold frames with poses.

The episodes of a scan must show one map, whose axes they share.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from li_env.files import read_text
from li_env.scans.axes import other_cameras
from li_env.scans.readers import lerobot, minari, video
from li_env.scans.readers.arrays import read_arrays
from li_env.scans.views import Views, check_bytes, check_count
from li_env.validation import shown

_EPISODES = "episodes.jsonl"
_MOST = 2**28


@dataclass(frozen=True)
class Found:
    """Dataset at a path: one format of it, and the file that describes its episodes."""

    format: str
    folder: Path
    episodes: Path


def find(path: Path) -> Found | None:
    """Return the dataset at a path, which may also be the folder of one of its formats."""
    if path.name == "clips" and any(path.glob("episode-*/camera.npz")):
        return Found("clips", path, path.parent / _EPISODES)
    if (path / "meta" / "info.json").is_file():
        return Found("lerobot", path, path.parent / _EPISODES)
    if not (path / "dataset.json").is_file():
        return None
    if (path / "minari").is_dir():  # frames without loss
        data = sorted((path / "minari").rglob("data/metadata.json"))
        if data:
            return Found("minari", data[0].parent, path / _EPISODES)
    for name in ("clips", "lerobot"):
        if (path / name).is_dir():
            return Found(name, path / name, path / _EPISODES)
    raise ValueError(f"scan={shown(str(path))} is a dataset without frames; allowed: format lerobot, minari or clips")


def read(path: Path, found: Found, axes: str | None, every: int, episode: int | None) -> Views:
    """Read one episode, or all of a dataset that shows one map.

    Raises:
        ValueError: no such episode, episodes of several places, or a damaged file.
        MissingExtraError: the extra ``data`` is not installed, which all formats but clips need.
    """
    counts, frames_of = _open(found)
    maps = _maps(found.episodes, len(counts))
    name = f"scan={shown(str(path))}"
    if episode is not None and episode >= len(counts):
        raise ValueError(f"episode={episode} is not in {name}; allowed: 0 to {len(counts) - 1}")
    chosen = range(len(counts)) if episode is None else (episode,)
    if len(chosen) > 1 and (maps[0] is None or len(set(maps)) > 1):
        places = "unknown places" if None in maps else f"{len(set(maps))} maps"
        raise ValueError(
            f"{name}: its {len(counts)} episodes show {places}, a scan shows one; use episode=0 to {len(counts) - 1}"
        )
    total = sum(counts[index] for index in chosen)
    check_count(total, every, name)
    poses: list[np.ndarray] = []
    images, lens, first = np.empty((0,), dtype=np.uint8), None, 0
    for index in chosen:
        offset = -first % every
        seen, where, lens = frames_of(index, np.arange(offset, counts[index], every))
        if not poses:
            check_bytes(-(-total // every), seen.shape[1:])
        poses.append(where)
        images = seen if not len(images) else np.concatenate([images, seen])
        first += counts[index]
    matrices = np.concatenate(poses)
    return Views(images, other_cameras(matrices) if axes == "opengl" else matrices, lens, maps[chosen[0]])


def _open(found: Found) -> tuple[list[int], Any]:
    """Return the frames per episode, and a function (episode, frames) -> images, poses, intrinsics [4] or None."""
    if found.format == "lerobot":
        return lerobot.open_dataset(found.folder)
    if found.format == "minari":
        return minari.open_dataset(found.folder)
    clips = sorted(found.folder.glob("episode-*"))
    cameras = [
        read_arrays(clip / "camera.npz", ("extrinsics_c2w",), ("intrinsics",), "a camera file") for clip in clips
    ]

    def frames_of(index: int, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        camera = cameras[index]
        lens = camera["intrinsics"][0] if "intrinsics" in camera else None
        return video.picked(clips[index] / "video.mp4", frames, 1), camera["extrinsics_c2w"][frames], lens

    return [len(camera["extrinsics_c2w"]) for camera in cameras], frames_of


def _maps(file: Path, count: int) -> list[int | None]:
    """Return the map of every written episode, None where it is not known."""
    if not file.is_file():
        return [None] * count
    try:
        records = list(_records(file))
        maps = [record.get("map") for record in records if record["kept"]]
    except (json.JSONDecodeError, KeyError, AttributeError, RecursionError):
        raise ValueError(f"{file.name} is damaged; allowed: a line of JSON per episode") from None
    if len(maps) != count:
        raise ValueError(f"{file.name} names {len(maps)} episodes, the dataset has {count}; allowed: as many")
    return maps


def _records(file: Path) -> Iterator[dict[str, Any]]:
    for line in read_text(file, "scan", _MOST, "the episodes of a dataset").splitlines():
        yield json.loads(line)
