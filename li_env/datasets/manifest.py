"""Manifest of a recorded dataset: everything that determines its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from li_env.files import file_sha256, read_json, write_json
from li_env.validation import check_choice, check_keys, check_mapping, check_number, check_whole, shown, shown_path

MANIFEST = "manifest.json"
"""File name of the manifest in the folder of a dataset."""

FORMATS = ("lerobot", "minari", "clips")
CODECS = ("h264", "av1", "lossless")
KEEP = ("all", "success")
VERSION = 1
"""Version of the rows and files that a manifest stands for."""

MOST_EPISODES = 10**6
_OF_SCANS = ("scans_folder", "scans", "scan_settings")


@dataclass(frozen=True)
class Manifest:
    """Description from which the content of a dataset follows.

    Attributes:
        world: name of the world.
        weights: SHA-256 of its weights; empty for a world without any.
        weights_folder: folder of the weights; ``None`` for the shipped ones.
        preset: settings of the accelerator.
        task: name of the task.
        max_steps: steps until an episode is cut.
        episode_file: path of the episode file; ``None`` for the world's own.
        episodes_hash: SHA-256 of the episode file's content; empty for a task without one.
        episodes: numbers of the episodes, in the order of the dataset.
        seeds: one per episode: ``env.reset(seed=..., options={"episode": number})`` begins the same episode.
        agent: name or folder of the agent.
        agent_hash: SHA-256 of the agent's files; empty for a scripted one.
        agent_seed: of the agent's draws.
        greedy: whether a trained agent takes its most likely action.
        label: teacher whose action is written beside the agent's; empty for none.
        noise: probability that a random motion replaces the agent's action.
        keep: which episodes are written, ``all`` or ``success``.
        formats: files to write.
        codec: of the videos.
        fps: frames per second.
        instruction: text of every episode; empty for the templates of `li_env.datasets.instructions`.
        validation: share of the maps whose episodes form the validation split.
        computation: device, threads and versions that frames depend on.
        version: `VERSION`.
        scans_folder: folder of the scans that the episodes take place in; ``None`` without. The three keys about scans
            are left out of the file then.
        scans: the scans by their maps: number of views, and SHA-256 of the content.
        scan_settings: with which the scans were built; empty where that is not known.
    """

    world: str
    weights: str
    weights_folder: str | None
    preset: Mapping[str, Any]
    task: str
    max_steps: int
    episode_file: str | None
    episodes_hash: str
    episodes: tuple[int, ...]
    seeds: tuple[int, ...]
    agent: str
    agent_hash: str
    agent_seed: int
    greedy: bool
    label: str
    noise: float
    keep: str
    formats: tuple[str, ...]
    codec: str
    fps: float
    instruction: str
    validation: float
    computation: Mapping[str, Any]
    version: int = VERSION
    scans_folder: str | None = None
    scans: Mapping[str, Any] = field(default_factory=dict)
    scan_settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_whole("version", self.version, VERSION, VERSION)
        check_whole("max_steps", self.max_steps, 1, 10**6)
        check_choice("keep", self.keep, KEEP)
        check_choice("codec", self.codec, CODECS)
        check_number("noise", self.noise, 0, 1)
        check_number("validation", self.validation, 0, 1)
        if not self.formats or len(set(self.formats)) != len(self.formats):
            raise ValueError(
                f"format={shown(list(self.formats))} is not allowed; allowed: some of {', '.join(FORMATS)}"
            )
        for name in self.formats:
            check_choice("format", name, FORMATS)
        if len(self.seeds) != len(self.episodes) or len(set(self.episodes)) != len(self.episodes) or not self.episodes:
            raise ValueError("episodes: allowed are different whole numbers, one seed for each of them")
        for number in (*self.episodes, *self.seeds):
            check_whole("episodes", number)

    @property
    def records_teacher(self) -> bool:
        """Whether rows hold an action to imitate that may differ from the one that ran."""
        return bool(self.label) or self.noise > 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {name: value for name, value in values.items() if name not in _OF_SCANS or self.scans_folder is not None}

    def digest(self) -> str:
        """Compute the SHA-256 of the manifest."""
        return sha256_of(self.to_dict())

    def write(self, folder: Path) -> None:
        """Write `MANIFEST` into the folder, whole or not at all."""
        write_json(folder / MANIFEST, self.to_dict())

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the manifest of a dataset.

        Raises:
            ValueError: no such file, or a damaged one.
        """
        path = folder / MANIFEST
        data = dict(check_mapping(shown_path(path), read_json(path, "manifest", "the folder of a recorded dataset")))
        names = [each.name for each in fields(cls)]
        check_keys(f"{shown_path(path)}:", data, names)
        missing = [name for name in names if name not in data and (name not in _OF_SCANS or "scans_folder" in data)]
        if missing:
            raise ValueError(f"{shown_path(path)}: {missing[0]!r} is missing; allowed: a manifest of li-env collect")
        for name in ("episodes", "seeds", "formats"):
            if not isinstance(data[name], list):
                raise ValueError(f"{shown_path(path)}: {name}={shown(data[name])} is not allowed; use a list")
            data[name] = tuple(data[name])
        for name in ("preset", "computation", "scans", "scan_settings"):
            if name in data:
                check_mapping(f"{shown_path(path)}: {name}", data[name])
        return cls(**data)

    def check_same(self, stored: Manifest) -> None:
        """Refuse to go on under another manifest.

        Raises:
            ValueError: names the first field that differs, with both values.
        """
        mine, theirs = self.to_dict(), stored.to_dict()
        for name in {**theirs, **mine}:
            value, new = theirs.get(name), mine.get(name)
            if new == value:
                continue
            if isinstance(value, dict) and isinstance(new, dict):
                key = next(key for key in {**value, **new} if value.get(key) != new.get(key))
                name, value, new = f"{name}.{key}", value.get(key), new.get(key)
            raise ValueError(
                f"{name}={shown(new)} differs from the dataset's manifest, which has {shown(value)}; allowed: the "
                "same command again, or another folder"
            )


def episode_seeds(numbers: Iterable[int], seed: int) -> tuple[int, ...]:
    """Return one seed per episode, a function of the episode's number and ``seed`` alone."""
    return tuple(int(np.random.SeedSequence([seed, number]).generate_state(1)[0]) for number in numbers)


def parse_numbers(text: str) -> tuple[int, ...]:
    """Read ``FIRST:END`` (without END) or one whole number as the numbers of episodes.

    Raises:
        ValueError: neither, or an empty range.
    """
    first, colon, end = text.partition(":")
    allowed = f"episodes={shown(text)} is not allowed; use FIRST:END, such as 0:1000, with at most {MOST_EPISODES:,}"
    if not first.isdecimal() or (colon and not end.isdecimal()) or len(text) > 30:
        raise ValueError(allowed)
    low = int(first)
    high = int(end) if colon else low + 1
    if not low < high <= low + MOST_EPISODES:
        raise ValueError(allowed)
    return tuple(range(low, high))


def sha256_of(value: Any) -> str:
    """Compute the SHA-256 of plain values, by their JSON with sorted keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()


def sha256_of_files(paths: Iterable[Path]) -> str:
    """Compute the SHA-256 of names and content of files."""
    return sha256_of([[path.name, file_sha256(path)] for path in sorted(paths)])
