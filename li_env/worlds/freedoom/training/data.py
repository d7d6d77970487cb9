"""Rendered trajectories gathered on the training device."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from li_env.doom import DEFAULT_KINDS, load_shard, render_dataset
from li_env.doom.watchdog import temporary_folder


@dataclass(frozen=True)
class DataSettings:
    """Amount of data to render. ``kinds`` are shares of the explorers."""

    maps: int = 3264
    trajectories_per_map: int = 4
    length: int = 96
    kinds: dict[str, float] = field(default_factory=lambda: dict(DEFAULT_KINDS))
    seed: int = 0
    validation_maps: int = 96
    validation_length: int = 128


@dataclass
class Trajectories:
    """Frames uint8 [N, L, H, W, 3], planar poses [N, L, 3] and motions [N, L - 1, 3] (metres, radians)."""

    frames: torch.Tensor
    poses: torch.Tensor
    commanded: torch.Tensor
    realised: torch.Tensor
    kinds: np.ndarray


def gather(
    map_seeds: Sequence[int],
    trajectories_per_map: int,
    length: int,
    kinds: dict[str, float],
    seed: int,
    device: torch.device,
    workers: int | None = None,
) -> Trajectories:
    """Render and move shard after shard to ``device``; nothing but the shards in flight touches the disk."""
    count = len(map_seeds) * trajectories_per_map
    workers = workers or os.cpu_count() or 1
    # Small shards keep all workers busy on small sets.
    maps_per_shard = max(1, min(16, len(map_seeds) // (2 * workers)))
    frames: torch.Tensor | None = None
    arrays: dict[str, torch.Tensor] = {}
    labels = np.zeros(count, dtype=np.int16)
    with temporary_folder("li-env-frames-") as folder:
        for path in render_dataset(
            map_seeds,
            folder,
            trajectories_per_map=trajectories_per_map,
            length=length,
            kinds_weights=kinds,
            seed=seed,
            workers=workers,
            maps_per_shard=maps_per_shard,
        ):
            begin = int(Path(path).name.split("_")[-1]) * maps_per_shard * trajectories_per_map
            shard = load_shard(path, memory_map=False)
            rows = slice(begin, begin + len(shard["frames"]))
            if frames is None:
                frames = torch.empty((count, *shard["frames"].shape[1:]), dtype=torch.uint8, device=device)
                for name, steps in (("poses", length), ("commanded", length - 1), ("feasible", length - 1)):
                    arrays[name] = torch.empty((count, steps, 3), device=device)
            frames[rows] = torch.from_numpy(shard["frames"]).to(device)
            arrays["poses"][rows] = _radians(shard["poses"], 2).to(device)
            arrays["commanded"][rows] = _radians(shard["commanded"], 0).to(device)
            arrays["feasible"][rows] = _radians(shard["feasible"], 0).to(device)
            labels[rows] = shard["kind"]
            shutil.rmtree(path)
    assert frames is not None
    return Trajectories(frames, arrays["poses"], arrays["commanded"], arrays["feasible"], labels)


def _radians(values: np.ndarray, angle: int) -> torch.Tensor:
    out = torch.from_numpy(values.astype(np.float32))
    out[..., angle] = torch.deg2rad(out[..., angle])
    return out
