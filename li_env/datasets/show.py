"""Summary of a dataset in numbers and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from li_env.arrow import pyarrow
from li_env.datasets.arrays import array_of
from li_env.datasets.finish import read_episodes, read_summary
from li_env.datasets.lerobot import CAMERA
from li_env.recording import contact_sheet, video_frames


def numbers_of(folder: Path) -> dict[str, Any]:
    """Return counts, success, quantiles of the lengths, and how often each rounded action ran.

    Raises:
        ValueError: no dataset.
    """
    summary, records = read_summary(folder), read_episodes(folder)
    kept = [record for record in records if record["kept"]]
    lengths = np.array([record["steps"] for record in kept])
    found = {name: summary[name] for name in ("episodes", "left_out", "frames", "rows", "steps", "success", "content")}
    found["lengths"] = {f"{share:.0%}": float(np.quantile(lengths, share)) for share in (0, 0.25, 0.5, 0.75, 1)}
    found["actions"] = _histogram(_actions(folder))
    return found


def _actions(folder: Path) -> np.ndarray:
    """Read the action of every row [R, k]; of a dataset without LeRobot rows none."""
    files = sorted((folder / "lerobot" / "data").rglob("*.parquet"))
    if not files:
        clips = sorted((folder / "clips").glob("*/actions.npz"))
        return np.concatenate([np.load(path)["action"] for path in clips]) if clips else np.zeros((0, 1))
    pa = pyarrow("reading LeRobot datasets")
    return np.concatenate(
        [array_of(pa.parquet.read_table(path, columns=["action"]).column("action")) for path in files]
    )


def _histogram(actions: np.ndarray, most: int = 12) -> list[tuple[list[float], int]]:
    counted = Counter(map(tuple, (np.round(actions * 2) / 2 + 0.0).tolist()))
    return [(list(action), count) for action, count in counted.most_common(most)]


def sheet(folder: Path, episodes: int = 8, columns: int = 8) -> np.ndarray:
    """Return a contact sheet: one row per episode, from its first frame to its last.

    Raises:
        ValueError: a dataset without videos.
    """
    clips = sorted((folder / "clips").glob("*/video.mp4"))[:episodes]
    if clips:
        shots = [list(video_frames(path)) for path in clips]
    else:
        videos = sorted((folder / "lerobot" / "videos" / CAMERA).rglob("*.mp4"))
        if not videos:
            raise ValueError("dataset: it holds no videos; allowed: format lerobot or clips")
        kept = [record["rows"] for record in read_episodes(folder) if record["kept"]]
        shots = list(_first_episodes(videos[0], kept[:episodes]))
    picked = [shot[int(index)] for shot in shots for index in np.linspace(0, len(shot) - 1, columns)]
    return contact_sheet(picked, columns)


def _first_episodes(video: Path, counts: Sequence[int]) -> list[list[np.ndarray]]:
    frames, shots = video_frames(video), []
    for count in counts:
        shot = [frame for _, frame in zip(range(count), frames, strict=False)]
        if shot:
            shots.append(shot)
    return shots
