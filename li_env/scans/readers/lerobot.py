"""Frames and poses of a recorded dataset in format LeRobot v3.0, as ``li-env collect`` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from li_env.arrow import pyarrow
from li_env.scans.readers.damage import damaged
from li_env.scans.readers.video import picked

_CAMERA = "observation.images.front"


def open_dataset(root: Path) -> tuple[list[int], Any]:
    """Return the frames per episode, and a function (episode, frames [n]) -> images, poses, intrinsics.

    Raises:
        ValueError: a damaged file.
        MissingExtraError: the extra ``data`` is not installed.
    """
    pa = pyarrow("reading LeRobot datasets")
    shard = [f"videos/{_CAMERA}/{name}" for name in ("chunk_index", "file_index")]
    rows = ["episode_index", "camera.pose", "camera.intrinsics"]
    with damaged(pa, root):
        episodes = pa.parquet.read_table(root / "meta" / "episodes", columns=["length", *shard]).to_pylist()
        data = pa.parquet.read_table(root / "data", columns=rows).combine_chunks()
        order = np.asarray(data.column("episode_index"))
        poses = np.stack(data.column("camera.pose").to_numpy()).reshape(-1, 4, 4)
        lens = np.array(data.column("camera.intrinsics")[0].as_py())
    counts = [int(each["length"]) for each in episodes]
    files = [tuple(int(each[key]) for key in shard) for each in episodes]

    def frames_of(index: int, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        chunk, file = files[index]
        video = root / "videos" / _CAMERA / f"chunk-{chunk:03d}" / f"file-{file:03d}.mp4"
        before = sum(counts[other] for other in range(index) if files[other] == files[index])
        return picked(video, before + frames, 1), poses[order == index][frames], lens

    return counts, frames_of
