"""Benchmark paths in the real game, for the freedoom world. Needs the extra ``doom``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from li_env.accel.world import WorldModel
from li_env.doom.collision import Walls
from li_env.doom.maps import generate_map, write_wad
from li_env.doom.renderer import DoomRenderer, renderable_poses, require_vizdoom
from li_env.doom.walking import doom_poses, walk
from li_env.doom.watchdog import temporary_folder
from li_env.errors import MissingExtraError
from li_env.evaluation.camera_path import CameraPath
from li_env.worlds.freedoom.start_frames import StartFrames


def has_game(world: WorldModel) -> bool:
    """Return whether the maps behind the world's start frames are known, so that the real game can show them."""
    return isinstance(getattr(world, "start_states", None), StartFrames)


def played_paths(world: WorldModel, paths: Sequence[CameraPath]) -> list[CameraPath]:
    """Return the paths as the game realises them (its walls stop or deflect the camera), with its frames.

    Raises:
        MissingExtraError: ViZDoom is not installed.
    """
    try:
        require_vizdoom()
    except ImportError as error:
        purpose = "comparing with the real game (--no-game leaves it out)"
        raise MissingExtraError("ViZDoom", "doom", purpose) from error
    states: StartFrames = world.start_states  # type: ignore[attr-defined]
    seeds = sorted({int(states.map_seeds[path.start]) for path in paths})
    maps = [generate_map(seed) for seed in seeds]
    which = np.array([seeds.index(int(states.map_seeds[path.start])) for path in paths])
    starts = doom_poses(np.stack([states.map_poses[path.start] for path in paths]))
    motions, poses = walk(Walls([entry.segments for entry in maps]), which, starts, [path.flat for path in paths])
    with temporary_folder() as folder:
        wad = folder / "bench.wad"
        write_wad(maps, wad)
        with DoomRenderer(wad) as renderer:
            frames = [
                renderer.render(int(index), renderable_poses(along)) for index, along in zip(which, poses, strict=True)
            ]
    return [
        path.along(moves, world, real) for path, moves, real in zip(paths, motions, frames, strict=True)
    ]  # fmt: skip
