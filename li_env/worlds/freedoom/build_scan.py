"""Scans of generated maps, taken in the real game."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from li_env.doom.known_maps import known_map
from li_env.doom.render_pool import LocalRenderer
from li_env.doom.renderer import MAP_UNITS_PER_METRE
from li_env.doom.scan_poses import scan_poses, scan_spots
from li_env.doom.walking import level_pose
from li_env.scans.checks import MAX_VIEWS
from li_env.scans.scan import Scan
from li_env.worlds.freedoom.geometry import FOCAL

MOST_MAP_SEED = 999_999_999
"""Largest seed of a map that the world ``freedoom_game`` takes."""

_PART = 64  # views between two reports of progress


def build_scan(
    map_seed: int, spacing: float, headings: int, on_views: Callable[[int, int], None] = lambda done, total: None
) -> Scan:
    """Photograph all free space of a map, in the axes of the world: x right, y down, z forward, in metres.

    Args:
        map_seed: of the map.
        spacing: metres between spots of a square grid that covers as densely.
        headings: views per spot, evenly around.
        on_views: called with the number of views that are done and their number in all.

    Raises:
        ValueError: more than 4,096 views.
        MissingExtraError: the simulator is not installed.
    """
    spots = scan_spots(known_map(map_seed).space, spacing)
    count = len(spots) * headings
    if count > MAX_VIEWS:
        # Spots come in the order of choice: the first that is too many says how densely those before it cover.
        most = max(1, MAX_VIEWS // headings)
        away = float(np.linalg.norm(spots[:most] - spots[most], axis=1).min()) / MAP_UNITS_PER_METRE
        wider = np.ceil(10 * math.sqrt(2) * away) / 10
        raise ValueError(
            f"spacing={spacing:g} with headings={headings} makes {count:,} views of map {map_seed}; allowed: at most "
            f"{MAX_VIEWS:,}, as with spacing={wider:g}"
        )
    cameras = scan_poses(spots, headings)
    parts = []
    renderer = LocalRenderer(engines=1)
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
