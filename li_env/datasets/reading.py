"""Reader of a recorded LeRobot dataset as a PyTorch ``Dataset``; needs neither lerobot nor torchvision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from li_env.arrow import pyarrow
from li_env.datasets.arrays import array_of
from li_env.datasets.lerobot import CAMERA, DATA_PATH, GOAL, VIDEO_PATH
from li_env.datasets.video import decode_picture
from li_env.files import read_json
from li_env.recording import video_frames
from li_env.validation import check_mapping, shown


class RecordedDataset(Dataset[dict[str, Any]]):
    """Rows of a dataset that ``li-env collect`` wrote, each with its frame, in RAM.

    An item is a dictionary: `CAMERA` uint8 [3, H, W], every column as a tensor, ``task``, the instruction, and in
    datasets of ImageGoal `GOAL` uint8 [3, H, W].

    Args:
        folder: of the dataset, or its folder ``lerobot``.
        split: ``train``, ``validation``, or ``all``.
        decisions: only the first row of every step, where the agent chose its action.

    Raises:
        ValueError: no dataset, or no episode in the split.
        MissingExtraError: the extra ``data`` is not installed.
    """

    def __init__(self, folder: str | Path, split: str = "all", decisions: bool = False) -> None:
        root = Path(folder)
        root = root / "lerobot" if (root / "lerobot").is_dir() else root
        allowed = "the folder of a dataset in format lerobot"
        self.info = dict(check_mapping("info.json", read_json(root / "meta" / "info.json", "data", allowed)))
        notes = read_json(root / "meta" / "li_env.json", "data", allowed)
        self.manifest: dict[str, Any] = notes["manifest"]
        splits = {**notes["splits"], "all": list(range(self.info["total_episodes"]))}
        if not splits.get(split):
            full = ", ".join(name for name, members in splits.items() if members)
            raise ValueError(f"split={shown(split)} has no episodes; allowed: {full}")
        self.columns, rows, self.goals = _rows(root, splits[split], decisions)
        self.frames = _frames(root, splits[split], rows)
        pa = pyarrow("reading datasets")
        tasks = pa.parquet.read_table(root / "meta" / "tasks.parquet")
        self._tasks = tasks.column("task").to_pylist()

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item: dict[str, Any] = {name: torch.as_tensor(values[index]) for name, values in self.columns.items()}
        item[CAMERA] = torch.from_numpy(self.frames[index].transpose(2, 0, 1).copy())
        if self.goals:
            item[GOAL] = torch.from_numpy(
                self.goals[int(self.columns["episode_index"][index])].transpose(2, 0, 1).copy()
            )
        return {**item, "task": self._tasks[int(self.columns["task_index"][index])]}


def _rows(
    root: Path, episodes: Sequence[int], decisions: bool
) -> tuple[dict[str, np.ndarray], dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Read the columns of episodes, and per episode the numbers of the rows that are read and the goal's picture."""
    pa = pyarrow("reading datasets")
    wanted, parts, picked, goals = set(episodes), [], {}, {}
    for path in sorted(root.glob(DATA_PATH.format(chunk_index=0, file_index=0).replace("000", "*"))):
        file = pa.parquet.ParquetFile(path)
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            episode = table.column("episode_index")[0].as_py()
            if episode not in wanted:
                continue
            if GOAL in table.column_names:
                goals[episode] = decode_picture(table.column(GOAL)[0].as_py()["bytes"])
            columns = {name: array_of(table.column(name)) for name in table.column_names if name != GOAL}
            rows = np.arange(len(table))
            if decisions:
                rows = np.flatnonzero(np.diff(columns["step.index"], prepend=-1))
            picked[episode] = rows
            parts.append({name: values[rows] for name, values in columns.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, picked, goals


def _frames(root: Path, episodes: Sequence[int], rows: dict[int, np.ndarray]) -> np.ndarray:
    """Decode the frames of the rows, uint8 [n, H, W, 3]."""
    pa = pyarrow("reading datasets")
    found: list[np.ndarray] = []
    wanted = set(episodes)
    table = pa.parquet.read_table(
        root / "meta" / "episodes",
        columns=["episode_index", "length", f"videos/{CAMERA}/chunk_index", f"videos/{CAMERA}/file_index"],
    )
    current: dict[str, int] | None = None
    frames: Iterator[np.ndarray] = iter(())
    for episode in table.to_pylist():
        place = {"chunk_index": episode[f"videos/{CAMERA}/chunk_index"],
                 "file_index": episode[f"videos/{CAMERA}/file_index"]}  # fmt: skip
        if place != current:
            current, frames = place, video_frames(root / VIDEO_PATH.format(video_key=CAMERA, **place))
        kept = set(rows.get(episode["episode_index"], np.zeros(0, int)).tolist())
        for row in range(episode["length"]):
            frame = next(frames)
            if episode["episode_index"] in wanted and row in kept:
                found.append(frame)
    return np.stack(found)
