"""Places where episodes may begin: free spots with an open view, one per map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from li_env.doom.maps import generate_map, write_wad
from li_env.doom.renderer import DoomRenderer, renderable_poses
from li_env.doom.space import FreeSpace
from li_env.doom.trajectories import world_poses
from li_env.doom.watchdog import temporary_folder

OPEN_VIEW = 192.0
"""Map units (6 m) that must be free straight ahead."""


def render_starts(map_seeds: Sequence[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """One start per map: frames uint8 [n, 96, 128, 3] and world poses [n, 3] (x, z metres, yaw degrees)."""
    rng = np.random.default_rng(seed)
    maps = [generate_map(map_seed) for map_seed in map_seeds]
    poses = np.array([_open_spot(doom_map.space, rng) for doom_map in maps])
    poses = renderable_poses(poses)
    with temporary_folder() as folder:
        wad = folder / "starts.wad"
        write_wad(maps, wad)
        with DoomRenderer(wad) as renderer:
            frames = np.concatenate([renderer.render(index, poses[index : index + 1]) for index in range(len(maps))])
    return frames, world_poses(poses)


def _open_spot(space: FreeSpace, rng: np.random.Generator) -> tuple[float, float, float]:
    """(x, y, degrees) of a free spot, looking along the most open of eight headings (ties drawn)."""
    headings = np.arange(0.0, 360.0, 45.0)
    for _ in range(20):
        position = space.sample(rng)
        lengths = space.clear_lengths(position, np.radians(headings), OPEN_VIEW)
        order = rng.permutation(len(headings))
        best = order[np.argmax(lengths[order])]
        if lengths[best] >= 0.9 * OPEN_VIEW:
            break
    return (*position, float(headings[best]))
