"""Shards of posed frames, rendered by several processes while the consumer works.

A shard is a folder of .npy files, so that a consumer can memory-map it; nothing is pickled.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from li_env.doom.collision import Walls
from li_env.doom.maps import generate_map, write_wad
from li_env.doom.renderer import FRAME_SIZE, DoomRenderer, require_vizdoom
from li_env.doom.scan_poses import training_scan
from li_env.doom.trajectories import DEFAULT_KINDS, choose_kinds, simulate, world_poses
from li_env.doom.tries import TRIED_MOTIONS, try_commands

Shard = dict[str, np.ndarray]

SHARD_ARRAYS = (
    *("frames", "poses", "commanded", "feasible", "map_seed", "kind", "views", "view_poses"),
    *("tried", "tried_feasible"),
)


@dataclass(frozen=True)
class MapScan:
    """Views around the walks of every map, beside the walks.

    Attributes:
        views: per map; none by default.
        spacings: least and most metres between spots; every map draws its own.
    """

    views: int = 0
    spacings: tuple[float, float] = (1.5, 5.0)


NO_SCAN = MapScan()


def render_shard(
    map_seeds: Sequence[int],
    trajectories_per_map: int,
    length: int,
    kinds_weights: Mapping[str, float],
    seed: int,
    scan: MapScan,
    frame_size: tuple[int, int],
    tries: int,
    folder: str | os.PathLike[str],
) -> Path:
    """Render one shard into ``folder`` (created; appears only when complete). Arguments as in `render_dataset`."""
    final = Path(folder)
    partial = final.with_name(final.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    rng = np.random.default_rng([seed, *map_seeds])
    maps = [generate_map(map_seed) for map_seed in map_seeds]
    which = np.repeat(np.arange(len(maps)), trajectories_per_map)
    kinds = choose_kinds(len(which), kinds_weights, rng)
    walks = simulate([m.space for m in maps], [m.segments for m in maps], which.tolist(), kinds, length, rng)
    wad = partial / "maps.wad"
    write_wad(maps, wad)
    frames = _frames_file(partial / "frames.npy", len(which), length, frame_size)
    views = _frames_file(partial / "views.npy", len(maps), scan.views, frame_size)
    paths = walks.doom_poses[..., :2].reshape(len(maps), -1, 2)
    view_poses = np.stack(
        [
            training_scan(each.space, path, scan.views, scan.spacings, child)
            for each, path, child in zip(maps, paths, rng.spawn(len(maps)), strict=True)
        ]
    )
    segments = Walls([each.segments for each in maps])
    tried, tried_feasible = try_commands(segments, which, walks, tries, rng.spawn(1)[0])
    with DoomRenderer(wad, frame_size=frame_size) as renderer:
        for row, map_index in enumerate(which):
            frames[row] = renderer.render(int(map_index), walks.doom_poses[row])
            if row % trajectories_per_map == 0 and scan.views:
                views[map_index] = renderer.render(int(map_index), view_poses[map_index])
    del frames, views  # written when their maps are closed
    arrays = {
        "poses": world_poses(walks.doom_poses),
        "commanded": walks.commanded,
        "feasible": walks.feasible,
        "map_seed": np.asarray(map_seeds, dtype=np.int64)[which],
        "kind": walks.kinds,
        "view_poses": world_poses(view_poses),
        "tried": tried,
        "tried_feasible": tried_feasible,
    }
    for name, array in arrays.items():
        np.save(partial / f"{name}.npy", array, allow_pickle=False)
    wad.unlink()
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    return final


def _frames_file(path: Path, rows: int, length: int, frame_size: tuple[int, int]) -> np.ndarray:
    """Make a file of frames to be filled."""
    shape = (rows, length, *frame_size, 3)
    if not length:  # nothing to map
        empty = np.empty(shape, dtype=np.uint8)
        np.save(path, empty, allow_pickle=False)
        return empty
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)


def load_shard(folder: str | os.PathLike[str], memory_map: bool = True) -> Shard:
    """Load the arrays of a shard.

    frames uint8 [N, L, H, W, 3]; poses float32 [N, L, 3] (x metres right, z metres forward, yaw degrees, in the
    map's world frame); commanded, feasible float32 [N, L - 1, 3] (yaw degrees, right, forward metres); map_seed int64
    [N]; kind int16 [N], index into `explorers.KINDS`; views uint8 [M, V, H, W, 3] and view_poses [M, V, 3], the scan
    of each of the M maps, whose walks are N / M neighbouring rows; tried, tried_feasible float32 [N, L, T, 4, 3], the
    commands of `try_commands` at every pose, in the form of commanded.
    """
    mode: Literal["r"] | None = "r" if memory_map else None
    return {name: np.load(Path(folder) / f"{name}.npy", mmap_mode=mode, allow_pickle=False) for name in SHARD_ARRAYS}


def render_dataset(
    map_seeds: Sequence[int],
    folder: str | os.PathLike[str],
    *,
    trajectories_per_map: int = 4,
    length: int = 64,
    kinds_weights: Mapping[str, float] = DEFAULT_KINDS,
    seed: int = 0,
    workers: int = 1,
    maps_per_shard: int = 32,
    scan: MapScan = NO_SCAN,
    frame_size: tuple[int, int] = FRAME_SIZE,
    tries: int = 0,
    on_shard: Callable[[Path], None] | None = None,
) -> Iterator[Path]:
    """Render trajectories on many maps; yield the folder of each shard as it becomes ready (`load_shard` reads it).

    An iterator: rendering starts with the first ``next`` and goes on in the background, at most two shards per worker
    ahead of the consumer, which may delete shards that it has used. Shards depend only on the arguments, not on the
    number of workers; their order of arrival may differ (names sort in the order of ``map_seeds``).

    Args:
        map_seeds: maps to use, see `splits`.
        folder: where ``shard_00000``, ... are written; complete ones are kept and not rendered again.
        trajectories_per_map: walks per map.
        length: poses per walk, at least 2; with ``tries`` at least 5.
        kinds_weights: share of each kind of explorer.
        seed: seed of the walks.
        workers: processes (each also starts a game engine process).
        maps_per_shard: maps in one shard (the last may hold fewer).
        scan: views around the walks.
        frame_size: (height, width) of frames, see `DoomRenderer`.
        tries: commands that are tried at every pose of the walks, without frames (`try_commands`).
        on_shard: called with each shard's folder before it is yielded.

    Raises:
        ValueError: a number or weight that is not allowed; from the first ``next``, if the folder holds shards of other
            arguments.
    """
    require_vizdoom()
    for name, value, least in (
        ("trajectories_per_map", trajectories_per_map, 1),
        ("length", length, TRIED_MOTIONS + 1 if tries else 2),
        ("workers", workers, 1),
        ("maps_per_shard", maps_per_shard, 1),
        ("tries", tries, 0),
    ):
        if value < least:
            raise ValueError(f"{name} {value} is not allowed; allowed: at least {least}")
    choose_kinds(0, kinds_weights, np.random.default_rng(0))  # report bad weights here, not from a worker
    return _render_in_background(
        [list(map_seeds[i : i + maps_per_shard]) for i in range(0, len(map_seeds), maps_per_shard)],
        Path(folder),
        (trajectories_per_map, length, dict(kinds_weights), seed, scan, frame_size, tries),
        workers,
        on_shard,
    )


def _claim(folder: Path, arguments: dict[str, object]) -> None:
    """Note in ``folder`` what is rendered there.

    Raises:
        ValueError: it holds the shards of other arguments.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(arguments)
    note = folder / "arguments.json"
    if note.exists() and note.read_text() != text:
        raise ValueError(f"folder {folder} holds shards of other arguments; allowed: an empty folder or the same call")
    note.write_text(text)


def _render_in_background(
    groups: list[list[int]],
    folder: Path,
    options: tuple[int, int, dict[str, float], int, MapScan, tuple[int, int], int],
    workers: int,
    on_shard: Callable[[Path], None] | None,
) -> Iterator[Path]:
    told = (*options[:4], astuple(options[4]), *options[5:])
    _claim(
        folder,
        {"map_seeds": groups, "trajectories_per_map, length, kinds_weights, seed, scan, frame_size, tries": told},
    )
    targets = iter([(group, folder / f"shard_{i:05d}") for i, group in enumerate(groups)])
    waiting: set[Future[Path]] = set()
    # spawn: forking a process that holds CUDA or threads is not safe
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            more = True
            while more or waiting:
                while more and len(waiting) < 2 * workers:
                    group, target = next(targets, (None, None))
                    if group is None or target is None:
                        more = False
                    elif target.is_dir():
                        if on_shard:
                            on_shard(target)
                        yield target
                    else:
                        waiting.add(pool.submit(render_shard, group, *options, target))
                if waiting:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in done:
                        if on_shard:
                            on_shard(future.result())
                        yield future.result()
        finally:
            for future in waiting:
                future.cancel()
