"""Files of navigation episodes: where each starts and what its goal is, in YAML or JSON.

::

    frames: frames.safetensors      # optional, beside this file: uint8 [n, H, W, 3] named start, and goal for ImageGoal
    episodes:
    - start: 0                      # which of the start frames; without a file of frames, of the world's own
      pose: [1.5, -2.0, 90.0]       # camera of the start frame: x, z, yaw in degrees
      goal: [4.0, -2.0, 0.0]        # x, z, yaw of the view to reach
      goal_frame: 0                 # optional: which of the goal frames
      map_seed: 20000000            # optional: the generated Freedoom map, for geodesic distances and the real game
      seed: 7                       # optional: of the noise; without it every reset has its own

x (right) and z (forward) are the axes of ``info["pose"]``, in the world's length unit; yaw turns right.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from li_env.files import MOST_JSON, MOST_YAML, atomic_folder, parse_json, read_text
from li_env.tensor_files import open_tensors, write_tensors
from li_env.validation import MOST_SEED, check_choice, shown, shown_path
from li_env.yaml_text import line_of, parse_yaml

Pose2D = tuple[float, float, float]
"""(x, z, yaw): length units and degrees."""

FRAMES = ("start", "goal")

MOST_FRAMES = 2**32
"""Bytes of frames that a dataset may bring."""


@dataclass(frozen=True)
class EpisodeRecord:
    """One episode of a file; the keys are explained at the top of this module."""

    start: int
    pose: Pose2D
    goal: Pose2D
    goal_frame: int | None = None
    map_seed: int | None = None
    seed: int | None = None


@dataclass(frozen=True, eq=False)
class EpisodeDataset:
    """The content of an episode file.

    Attributes:
        episodes: at least one.
        frames: ``start`` and ``goal``, uint8 [n, H, W, 3] each, as far as the file has them.
    """

    episodes: tuple[EpisodeRecord, ...]
    frames: Mapping[str, np.ndarray]

    @classmethod
    def read(cls, path: str | Path) -> EpisodeDataset:
        """Read and check a file.

        Raises:
            ValueError: the file or its frames cannot be read, or something in it is not allowed; the message names the
                line, the episode, the field, its value and what is allowed.
        """
        return _Reader(Path(path)).dataset()

    @classmethod
    def join(cls, parts: Sequence[EpisodeDataset]) -> EpisodeDataset:
        """Join the episodes of several datasets, which must have the same kinds of frames."""
        kinds = {frozenset(part.frames) for part in parts}
        if len(kinds) != 1:
            raise ValueError("datasets with different kinds of frames cannot be joined")
        episodes: list[EpisodeRecord] = []
        shift = dict.fromkeys(FRAMES, 0)
        for part in parts:
            for episode in part.episodes:
                goal = None if episode.goal_frame is None else episode.goal_frame + shift["goal"]
                episodes.append(replace(episode, start=episode.start + shift["start"], goal_frame=goal))
            for name, frames in part.frames.items():
                shift[name] += len(frames)
        return cls(
            tuple(episodes), {name: np.concatenate([part.frames[name] for part in parts]) for name in parts[0].frames}
        )

    def write(self, path: str | Path) -> None:
        """Write ``path`` (JSON, one episode per line) and, if there are frames, ``<name>.safetensors`` beside it.

        Both appear whole or not at all; missing folders are made.
        """
        path = Path(path)
        lines = [
            json.dumps({key: value for key, value in asdict(episode).items() if value is not None})
            for episode in self.episodes
        ]
        frames = path.with_suffix(".safetensors").name
        head = f'"frames": {json.dumps(frames)},\n' if self.frames else ""
        text = "{" + head + '"episodes": [\n' + ",\n".join(lines) + "\n]}\n"
        with atomic_folder(path.parent) as folder:
            if self.frames:
                arrays = {name: np.ascontiguousarray(array) for name, array in self.frames.items()}
                write_tensors(folder / frames, arrays)
            (folder / path.name).write_text(text, encoding="utf-8")


class _Reader:
    """Reader of one file that knows the path of keys to every value, to find the line of a mistake."""

    def __init__(self, path: Path) -> None:
        self._path, self._name = path, shown_path(path)

    def dataset(self) -> EpisodeDataset:
        json_file = self._path.suffix == ".json"
        most, allowed = (MOST_JSON if json_file else MOST_YAML), "a YAML or JSON file of episodes"
        self._text = read_text(self._path, "dataset", most, allowed)
        data = (parse_json if json_file else parse_yaml)(self._text, self._name)
        if not isinstance(data, dict) or not isinstance(data.get("episodes"), list) or not data["episodes"]:
            raise ValueError(
                f"{self._name}: 'episodes' is missing or empty; allowed: a list of episodes under that key"
            )
        self._check_keys(data, ("frames", "episodes"), ())
        frames = self._frames(data["frames"]) if "frames" in data else {}
        episodes = tuple(self._episode(index, entry, frames) for index, entry in enumerate(data["episodes"]))
        return EpisodeDataset(episodes, frames)

    def _frames(self, name: Any) -> dict[str, np.ndarray]:
        where, said = ("frames",), f"frames={shown(name)}"
        if not isinstance(name, str) or "\0" in name or not os.path.isfile(self._path.parent / name):
            raise self._error(where, f"{said} is not a file beside the episodes; allowed: a safetensors file")
        try:
            file = open_tensors(self._path.parent / name, "np")
        except ValueError as error:
            raise self._error(where, f"{said} cannot be read: {error}") from None
        shapes = {key: file.get_slice(key) for key in list(file.keys())}
        for key, entry in shapes.items():
            shape = entry.get_shape()
            if key not in FRAMES or entry.get_dtype() != "U8" or len(shape) != 4 or shape[3] != 3 or 0 in shape:
                found = f"{shown(key)} {entry.get_dtype()} {shown(shape)}"
                raise self._error(where, f"{said} holds {found}; allowed: start, goal uint8 [n, H, W, 3]")
        size = sum(prod(entry.get_shape()) for entry in shapes.values())
        if size > MOST_FRAMES:
            raise self._error(where, f"{said} holds {size:,} bytes of frames; allowed: at most {MOST_FRAMES:,}")
        return {key: file.get_tensor(key) for key in shapes}

    def _episode(self, index: int, entry: Any, frames: Mapping[str, np.ndarray]) -> EpisodeRecord:
        where = ("episodes", index)
        if not isinstance(entry, dict):
            raise self._error(
                where, f"episodes[{index}]={shown(entry)} is not an episode; allowed: a mapping of fields"
            )
        names = [field.name for field in fields(EpisodeRecord)]
        self._check_keys(entry, names, where)
        for name in ("start", "pose", "goal"):
            if name not in entry:
                raise self._error(where, f"episodes[{index}]: field {name!r} is missing")
        for name, value in entry.items():
            allowed = self._mistake(name, value, frames)
            if allowed:
                raise self._error(
                    (*where, name), f"episodes[{index}]: {name}={shown(value)} is not usable; allowed: {allowed}"
                )
        poses = {name: tuple(float(number) for number in entry[name]) for name in ("pose", "goal")}
        return EpisodeRecord(**{**entry, **poses})

    def _mistake(self, name: str, value: Any, frames: Mapping[str, np.ndarray]) -> str | None:
        """Say which values are allowed instead, ``None`` if the value is fine."""
        if name in ("pose", "goal"):
            numbers = isinstance(value, list) and len(value) == 3
            fine = numbers and all(
                isinstance(number, int | float) and not isinstance(number, bool) and abs(number) < 1e6
                for number in value
            )
            return None if fine else "three finite numbers x, z, yaw below 1e6"
        shelf = frames.get(FRAMES[name == "goal_frame"]) if name in ("start", "goal_frame") else None
        last = "" if shelf is None else f" to {len(shelf) - 1}"
        whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_SEED
        fine = whole and (shelf is None or value < len(shelf))
        if name == "goal_frame" and shelf is None:
            return "nothing, because the file has no frames named goal"
        return None if fine else f"a whole number from 0{last or ' up'}"

    def _check_keys(self, mapping: Mapping[str, Any], allowed: Sequence[str], where: tuple[str | int, ...]) -> None:
        for key in mapping:
            try:
                check_choice(f"episodes[{where[1]}]: field" if where else "field", key, allowed)
            except ValueError as error:
                raise self._error((*where, key), str(error)) from None

    def _error(self, where: Sequence[str | int], message: str) -> ValueError:
        line = line_of(self._text, where)
        return ValueError(f"{self._name}{f':{line}' if line else ''}: {message}")
