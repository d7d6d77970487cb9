"""Scans of generated maps, taken in the real game."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from li_env.doom.known_maps import known_map
from li_env.doom.render_pool import LocalRenderer
from li_env.doom.renderer import MAP_UNITS_PER_METRE
from li_env.doom.scan_poses import scan_poses, scan_spots
from li_env.doom.walking import level_pose
from li_env.scans.building import keep_settings
from li_env.scans.checks import MAX_VIEWS
from li_env.scans.scan import Scan
from li_env.worlds.freedoom.geometry import FOCAL
from li_env.worlds.freedoom.sizes import SMALL, Size

MOST_MAP_SEED = 999_999_999
"""Largest seed of a map that the world ``freedoom_game`` takes."""

_PART = 64  # views between two reports of progress


def build_scan(
    map_seed: int,
    spacing: float,
    headings: int,
    on_views: Callable[[int, int], None] = lambda done, total: None,
    most: int | None = None,
    frame_size: tuple[int, int] = SMALL.frame_size,
) -> Scan:
    """Photograph all free space of a map, in the axes of the world: x right, y down, z forward, in metres.

    Args:
        map_seed: of the map.
        spacing: metres between spots of a square grid that covers as densely.
        headings: views per spot, evenly around.
        on_views: called with the number of views that are done and their number in all.
        most: views to keep of a map that has more, places farthest from the others first.
        frame_size: (height, width) of the views.

    Raises:
        ValueError: more than 4,096 views.
        MissingExtraError: the simulator is not installed.
    """
    spots = scan_spots(known_map(map_seed).space, spacing)
    if most is not None:
        spots = spots[: max(1, most // headings)]
    count = len(spots) * headings
    if count > MAX_VIEWS:
        # Spots come in the order of choice: the first that is too many says how densely those before it cover.
        fitting = max(1, MAX_VIEWS // headings)
        away = float(np.linalg.norm(spots[:fitting] - spots[fitting], axis=1).min()) / MAP_UNITS_PER_METRE
        wider = np.ceil(10 * math.sqrt(2) * away) / 10
        raise ValueError(
            f"spacing={spacing:g} with headings={headings} makes {count:,} views of map {map_seed}; allowed: at most "
            f"{MAX_VIEWS:,}, as with spacing={wider:g}"
        )
    cameras = scan_poses(spots, headings)
    parts = []
    renderer = LocalRenderer(engines=1, frame_size=frame_size)
    try:
        for first in range(0, count, _PART):
            parts += renderer.render([map_seed], [cameras[first : first + _PART]])
            on_views(min(first + _PART, count), count)
    finally:
        renderer.close()
    images = np.concatenate(parts)
    height, width = images.shape[1:3]
    lens = np.array([FOCAL[0] * width, FOCAL[1] * height, width / 2, height / 2])
    return Scan(images, world_poses(cameras), lens, map_seed)


def world_poses(cameras: np.ndarray) -> np.ndarray:
    """Convert Doom poses [n, 3] (x, y in map units, degrees) to camera-to-world [n, 4, 4] in metres."""
    return np.stack(
        [level_pose(-y / MAP_UNITS_PER_METRE, x / MAP_UNITS_PER_METRE, -degrees) for x, y, degrees in cameras.tolist()]
    )


def map_walls(map_seed: int) -> np.ndarray:
    """Return the walls of a map [m, 4] in the axes of the world: x and z of both ends in metres."""
    x1, y1, x2, y2 = known_map(map_seed).segments.T / MAP_UNITS_PER_METRE
    return np.stack([-y1, x1, -y2, x2], -1)


def build_scans(
    map_seeds: Iterable[int],
    spacing: float,
    headings: int,
    most: int | None,
    folder: Path,
    workers: int,
    on_scan: Callable[[], None] = lambda: None,
    size: Size = SMALL,
) -> None:
    """Write a scan of every map into ``folder``, ``map_<seed>.npz``; those that are there stay.

    The settings are kept beside them (`li_env.scans.building`).

    Args:
        map_seeds: of the maps.
        spacing, headings, most: as in `build_scan`.
        folder: made if needed.
        workers: processes.
        on_scan: called for every scan that is written.
        size: of the views.

    Raises:
        ValueError: see `build_scan`, or the folder holds scans of other settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings: dict[str, float | str | None] = {"spacing": spacing, "headings": headings, "most": most}
    keep_settings(folder, settings if size == SMALL else {**settings, "size": size.name})
    files = {seed: folder / f"map_{seed}.npz" for seed in sorted(set(map_seeds))}
    missing = {seed: file for seed, file in files.items() if not file.exists()}
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        begun = [
            pool.submit(_write_scan, seed, spacing, headings, most, size.frame_size, file)
            for seed, file in missing.items()
        ]
        try:
            for future in as_completed(begun):
                future.result()
                on_scan()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _write_scan(
    map_seed: int, spacing: float, headings: int, most: int | None, frame_size: tuple[int, int], file: Path
) -> None:
    build_scan(map_seed, spacing, headings, most=most, frame_size=frame_size).save(file)
