"""Formats of a dataset behind one interface: parts of episodes in the journal, then the joined files."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium import spaces

from li_env.arrow import pyarrow
from li_env.datasets import lerobot, minari
from li_env.datasets.manifest import Manifest
from li_env.datasets.part_writer import PartWriter
from li_env.datasets.recorder import episodes_of, reset_options
from li_env.datasets.rows import columns_of
from li_env.datasets.video import codec_of
from li_env.episodes import EpisodeRunner
from li_env.files import read_json, write_json
from li_env.tasks.navigation import ImageGoal
from li_env.validation import shown

_IDS = {"explore": "Explore", "pointgoal": "PointGoal", "imagegoal": "ImageGoal"}


class Formats:
    """Writer of the formats that a manifest asks for.

    Args:
        manifest: of the dataset.
        runner: of the environment that plays its episodes.

    Raises:
        ValueError: a codec that does not take the frames, a frame rate that LeRobot cannot express, or another action
            space than ``continuous``.
        MissingExtraError: the extra ``data`` is not installed.
    """

    def __init__(self, manifest: Manifest, runner: EpisodeRunner) -> None:
        self._manifest, self._runner, spec = manifest, runner, runner.spec
        space = runner.action_space
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise ValueError(f"action space {space} cannot be recorded; allowed: action_space='continuous'")
        self.codec = codec_of(manifest.codec, spec.frame_size)
        self.columns = columns_of(runner.task, space.shape[0], manifest.records_teacher)
        self._spaces = deepcopy(runner.observation_space), deepcopy(space)
        if {"lerobot", "minari"} & set(manifest.formats):
            pyarrow("writing datasets")
        if "lerobot" in manifest.formats and spec.fps != int(spec.fps):
            raise ValueError(f"format='lerobot' needs whole frames per second; world {spec.name!r} has {spec.fps:g}")
        goal = isinstance(runner.task, ImageGoal)
        self._layout = lerobot.Layout(self.columns, spec.frame_size, int(spec.fps), self.codec, goal)

    def options(self, number: int) -> dict[str, Any]:
        """Return the reset options of an episode."""
        return reset_options(self._runner.task, number)

    def map_of(self, number: int) -> int | None:
        """Return the map of an episode, ``None`` where it is not known."""
        known = episodes_of(self._runner.task)
        return None if known is None else known[number].map_seed

    def writer(self) -> PartWriter:
        """Return what writes episodes, in any process."""
        return PartWriter(self._manifest.formats, self._layout, self._runner.spec.fps)

    def assemble(self, name: str, target: Path, entries: Sequence[Path], records: Sequence[Mapping[str, Any]]) -> None:
        """Join the parts of all episodes in one format; ``target`` is made.

        Args:
            name: of the format.
            target: folder to write.
            entries: entries of the journal in the order of the dataset.
            records: descriptions of the episodes in the same order.
        """
        target.mkdir()
        parts = [entry / name for entry in entries]
        if name == "lerobot":
            notes = {"manifest": self._manifest.to_dict(), "splits": self.splits(records)}
            lerobot.assemble(target, parts, records, self._layout, notes)
        elif name == "minari":
            self._assemble_minari(target, parts, records)
        else:
            for index, part in enumerate(parts):
                _link_files(part, target / f"episode-{index:06d}")

    def splits(self, records: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
        """Divide the episodes into training and validation, all episodes of a map on one side."""
        splits: dict[str, list[int]] = {"train": [], "validation": []}
        for index, record in enumerate(records):
            key = record["map"] if record["map"] is not None else f"episode {record['episode']}"
            draw = int.from_bytes(hashlib.sha256(str(key).encode()).digest()[:8]) / 2**64
            splits["validation" if draw < self._manifest.validation else "train"].append(index)
        return splits

    def minari_id(self) -> str:
        """Return the id for ``minari.load_dataset``, with ``MINARI_DATASETS_PATH`` set to the folder ``minari``."""
        world, task = (re.sub(r"[^a-z0-9]+", "-", each) for each in (self._manifest.world, self._manifest.task))
        return f"li-env/{world}-{task}-v0"

    def _assemble_minari(self, target: Path, parts: Sequence[Path], records: Sequence[Mapping[str, Any]]) -> None:
        data = target / self.minari_id() / "data"
        data.mkdir(parents=True)
        for index, part in enumerate(parts):
            _link_files(part, data / str(index))
            described = {**read_json(part / "metadata.json", "journal"), "id": index}
            (data / str(index) / "metadata.json").unlink()  # not the journal's file of the same content
            write_json(data / str(index) / "metadata.json", described)
        about = {
            "dataset_id": self.minari_id(),
            "algorithm_name": self._manifest.agent,
            "description": f"{self._manifest.task} in {self._manifest.world}, recorded by li-env collect",
        }
        steps = sum(record["steps"] for record in records)
        minari.write_metadata(data, steps, len(parts), *self._spaces, self._env_spec(), about)

    def _env_spec(self) -> str:
        """Return the specification of the single environment as JSON."""
        manifest = self._manifest
        if manifest.task not in _IDS:
            raise ValueError(f"format='minari' knows no environment of task {shown(manifest.task)}")
        spec = deepcopy(gymnasium.spec(f"LightInteraction/{_IDS[manifest.task]}-v0"))
        spec.max_episode_steps = manifest.max_steps
        spec.kwargs |= {
            "world": manifest.world,
            "preset": dict(manifest.preset),
            "action_space": "continuous",
            "observation": "frame",
        }
        files = {"weights": manifest.weights_folder, "dataset": manifest.episode_file, "scans": manifest.scans_folder}
        spec.kwargs |= {key: value for key, value in files.items() if value is not None}
        return spec.to_json()


def _link_files(source: Path, target: Path) -> None:
    """Give files a second name; copy them where the file system cannot."""
    target.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        try:
            os.link(path, target / path.name)
        except OSError:
            shutil.copyfile(path, target / path.name)
