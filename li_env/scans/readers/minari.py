"""Frames and poses of a recorded dataset in Minari's arrow layout, as ``li-env collect`` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from li_env.arrow import pyarrow
from li_env.files import read_json
from li_env.scans.readers.damage import damaged


def open_dataset(data: Path) -> tuple[list[int], Any]:
    """Return the frames per episode, and a function (episode, frames [n]) -> images, poses, None.

    A frame of a step is its last one. The lens is the world's.

    Raises:
        ValueError: a damaged file.
        MissingExtraError: the extra ``data`` is not installed.
    """
    pa = pyarrow("reading Minari datasets")
    with damaged(pa, data):
        about = read_json(data / "metadata.json", "scan")
        space = json.loads(about["observation_space"])
        shape = space.get("subspaces", {"rgb": space})["rgb"]["shape"]
        counts = [
            read_json(data / str(index) / "metadata.json", "scan")["total_steps"] + 1
            for index in range(about["total_episodes"])
        ]

    def frames_of(index: int, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, None]:
        with damaged(pa, data), pa.memory_map(str(data / str(index) / "part-0.arrow")) as source:
            table = pa.ipc.open_file(source).read_all().take(frames)
            seen, infos = table.column("observations").combine_chunks(), table.column("infos").combine_chunks()
            rgb = seen.field("rgb") if hasattr(seen.type, "num_fields") and "rgb" in _names(seen) else seen
            images = rgb.flatten().to_numpy().reshape(len(frames), *shape)
            poses = infos.field("pose").flatten().to_numpy().reshape(len(frames), 4, 4)
        return images, poses, None

    return counts, frames_of


def _names(column: Any) -> list[str]:
    return [column.type.field(index).name for index in range(column.type.num_fields)]
