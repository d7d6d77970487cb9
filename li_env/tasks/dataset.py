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
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from safetensors.numpy import load_file, save_file

from li_env.errors import check_choice

Place = tuple[float, float, float]
"""(x, z, yaw): length units and degrees."""

FRAMES = ("start", "goal")


@dataclass(frozen=True)
class EpisodeRecord:
    """One episode of a file; the keys are explained at the top of this module."""

    start: int
    pose: Place
    goal: Place
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
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"dataset={str(path)!r} is not a file; allowed: a YAML or JSON file of episodes")
        return _Reader(path).dataset()

    @classmethod
    def join(cls, parts: Sequence[EpisodeDataset]) -> EpisodeDataset:
        """The episodes of several datasets, all with or all without the same kinds of frames."""
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
        """Write ``path`` (JSON, one episode per line) and, if there are frames, ``<name>.safetensors`` beside it."""
        path = Path(path)
        lines = [
            json.dumps({key: value for key, value in asdict(episode).items() if value is not None})
            for episode in self.episodes
        ]
        frames = path.with_suffix(".safetensors")
        head = f'"frames": {json.dumps(frames.name)},\n' if self.frames else ""
        if self.frames:
            temporary = frames.with_name(f"{frames.name}.tmp")
            save_file({name: np.ascontiguousarray(array) for name, array in self.frames.items()}, temporary)
            os.replace(temporary, frames)
        temporary = path.with_name(f"{path.name}.tmp")
        temporary.write_text("{" + head + '"episodes": [\n' + ",\n".join(lines) + "\n]}\n", encoding="utf-8")
        os.replace(temporary, path)


class _Reader:
    """Reads one file; knows the way to every value, so that a mistake can be found in the text."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def dataset(self) -> EpisodeDataset:
        self._text = self._path.read_text(encoding="utf-8", errors="replace")
        data = self._parse()
        if not isinstance(data, dict) or not isinstance(data.get("episodes"), list) or not data["episodes"]:
            raise ValueError(
                f"{self._path}: 'episodes' is missing or empty; allowed: a list of episodes under that key"
            )
        self._check_keys(data, ("frames", "episodes"), ())
        frames = self._frames(data["frames"]) if "frames" in data else {}
        episodes = tuple(self._episode(index, entry, frames) for index, entry in enumerate(data["episodes"]))
        return EpisodeDataset(episodes, frames)

    def _parse(self) -> Any:
        try:
            if self._path.suffix == ".json":
                return json.loads(self._text)
            return yaml.load(self._text, Loader=_SAFE_LOADER)
        except json.JSONDecodeError as error:
            raise ValueError(f"{self._path}:{error.lineno}: not JSON: {error.msg}") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{self._path}:{mark.line + 1}" if mark else str(self._path)
            raise ValueError(f"{where}: not YAML: {getattr(error, 'problem', None) or error}") from None

    def _frames(self, name: Any) -> dict[str, np.ndarray]:
        where = ("frames",)
        if not isinstance(name, str) or not (self._path.parent / name).is_file():
            raise self._error(where, f"frames={name!r} is not a file beside the episodes; allowed: a safetensors file")
        try:
            frames = load_file(self._path.parent / name)
        except Exception as error:  # safetensors has an error type of its own for every kind of damage
            raise self._error(where, f"frames={name!r} cannot be read: {error}") from None
        for key, array in frames.items():
            if key not in FRAMES or array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3:
                found = f"{array.dtype} {list(array.shape)}"
                raise self._error(
                    where, f"frames={name!r} holds {key!r} {found}; allowed: start, goal uint8 [n, H, W, 3]"
                )
        return frames

    def _episode(self, index: int, entry: Any, frames: Mapping[str, np.ndarray]) -> EpisodeRecord:
        where = ("episodes", index)
        if not isinstance(entry, dict):
            raise self._error(where, f"episodes[{index}]={entry!r} is not an episode; allowed: a mapping of fields")
        names = [field.name for field in fields(EpisodeRecord)]
        self._check_keys(entry, names, where)
        for name in ("start", "pose", "goal"):
            if name not in entry:
                raise self._error(where, f"episodes[{index}]: field {name!r} is missing")
        for name, value in entry.items():
            allowed = self._mistake(name, value, frames)
            if allowed:
                raise self._error(
                    (*where, name), f"episodes[{index}]: {name}={value!r} is not usable; allowed: {allowed}"
                )
        places = {name: tuple(float(number) for number in entry[name]) for name in ("pose", "goal")}
        return EpisodeRecord(**{**entry, **places})

    def _mistake(self, name: str, value: Any, frames: Mapping[str, np.ndarray]) -> str | None:
        """What would be allowed instead, ``None`` if the value is fine."""
        if name in ("pose", "goal"):
            numbers = isinstance(value, list) and len(value) == 3
            fine = numbers and all(
                isinstance(number, int | float) and not isinstance(number, bool) and abs(number) < 1e6
                for number in value
            )
            return None if fine else "three finite numbers x, z, yaw below 1e6"
        shelf = frames.get(FRAMES[name == "goal_frame"]) if name in ("start", "goal_frame") else None
        last = "" if shelf is None else f" to {len(shelf) - 1}"
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
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
        return ValueError(f"{self._path}:{_line(self._text, where)}: {message}")


_SAFE_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _line(text: str, where: Sequence[str | int]) -> int:
    """Line (from 1) of the value that a way of keys and indices leads to; JSON is read as the YAML that it is."""
    node: Any = yaml.compose(text.replace("\t", " "), Loader=_SAFE_LOADER)
    line = node.start_mark.line
    for step in where:
        if isinstance(node, yaml.MappingNode):
            key, node = next((key, value) for key, value in node.value if key.value == str(step))
            line = key.start_mark.line
        else:
            node = node.value[step]
            line = node.start_mark.line
    return int(line) + 1
