"""Rendered trajectories gathered on the training device."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from li_env.doom import DEFAULT_KINDS, load_shard, render_dataset
from li_env.doom.shards import NO_SCAN, MapScan
from li_env.doom.watchdog import temporary_folder
from li_env.worlds.freedoom.sizes import SMALL

Convert = Callable[[torch.Tensor], torch.Tensor]

_WALKED = ("poses", 2), ("commanded", 0), ("feasible", 0)
_TRIED = ("tried", 0), ("tried_feasible", 0)
"""Arrays of a shard with a row per walk, and the column that is an angle in degrees."""


@dataclass(frozen=True)
class DataSettings:
    """Amount of data to render.

    ``kinds`` are shares of the explorers. ``scan_views`` views of every map are rendered around its walks, from spots
    with ``scan_spacing`` metres between them (least and most; every map draws its own). ``tries`` commands are tried at
    every pose of the walks, for the motion head; they need no frames.
    """

    maps: int = 3264
    trajectories_per_map: int = 4
    length: int = 96
    kinds: dict[str, float] = field(default_factory=lambda: dict(DEFAULT_KINDS))
    seed: int = 0
    validation_maps: int = 96
    validation_length: int = 128
    scan_views: int = 0
    scan_spacing: tuple[float, float] = (1.5, 5.0)
    validation_scan_views: int = 0
    validation_scan_spacing: float = 2.5
    tries: int = 0


@dataclass
class Trajectories:
    """Walks with planar poses [N, L, 3] and motions [N, L - 1, 3] (metres, radians), and scans of their maps.

    ``frames`` are uint8 [N, L, H, W, 3] or what `gather` converted them to, ``views`` [M, V, ...] alike, with
    ``view_poses`` [M, V, 3]. Neighbouring rows of walks belong to one of the M maps. ``tried`` and ``tried_realised``
    [N, L, T, 4, 3] are commands that were tried at every pose, in the form of ``commanded``.
    """

    frames: torch.Tensor
    poses: torch.Tensor
    commanded: torch.Tensor
    realised: torch.Tensor
    kinds: np.ndarray
    views: torch.Tensor
    view_poses: torch.Tensor
    tried: torch.Tensor
    tried_realised: torch.Tensor


def gather(
    map_seeds: Sequence[int],
    trajectories_per_map: int,
    length: int,
    kinds: dict[str, float],
    seed: int,
    device: torch.device,
    workers: int | None = None,
    scan: MapScan = NO_SCAN,
    tries: int = 0,
    convert: Convert = lambda frames: frames,
    frame_size: tuple[int, int] = SMALL.frame_size,
) -> Trajectories:
    """Render and move shard after shard to ``device``; nothing but the shards in flight touches the disk.

    Args:
        scan: views around the walks; none by default.
        tries: commands that are tried at every pose of the walks.
        convert: called with uint8 frames [n, L, H, W, 3] on ``device``; what it gives is kept instead of them.
        frame_size: (height, width) of frames.
    """
    count = len(map_seeds) * trajectories_per_map
    workers = workers or os.cpu_count() or 1
    # Small shards keep all workers busy on small sets.
    maps_per_shard = max(1, min(16, len(map_seeds) // (2 * workers)))
    arrays: dict[str, torch.Tensor] = {}
    labels = np.zeros(count, dtype=np.int16)

    def keep(name: str, first: int, rows: int, values: torch.Tensor) -> None:
        if name not in arrays:
            arrays[name] = torch.empty((rows, *values.shape[1:]), dtype=values.dtype, device=device)
        arrays[name][first : first + len(values)] = values

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
            scan=scan,
            frame_size=frame_size,
            tries=tries,
        ):
            first = int(Path(path).name.split("_")[-1]) * maps_per_shard
            shard = load_shard(path, memory_map=False)
            for name, angle in (*_WALKED, *_TRIED):
                keep(name, first * trajectories_per_map, count, _radians(shard[name], angle).to(device))
            keep("view_poses", first, len(map_seeds), _radians(shard["view_poses"], 2).to(device))
            for name, factor in (("frames", trajectories_per_map), ("views", 1)):
                values = torch.from_numpy(shard[name]).to(device)
                keep(name, first * factor, len(map_seeds) * factor, convert(values) if values.numel() else values)
            labels[first * trajectories_per_map :][: len(shard["kind"])] = shard["kind"]
            shutil.rmtree(path)
    return Trajectories(
        arrays["frames"], arrays["poses"], arrays["commanded"], arrays["feasible"], labels,
        arrays["views"], arrays["view_poses"], arrays["tried"], arrays["tried_feasible"],
    )  # fmt: skip


def _radians(values: np.ndarray, angle: int) -> torch.Tensor:
    out = torch.from_numpy(values.astype(np.float32))
    out[..., angle] = torch.deg2rad(out[..., angle])
    return out
