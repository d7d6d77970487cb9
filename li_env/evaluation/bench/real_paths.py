"""The real game along the benchmark's courses, for the freedoom world. Needs the extra ``doom``."""

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
from li_env.evaluation.camera_path import Course
from li_env.worlds.freedoom.start_frames import StartFrames


def has_game(world: WorldModel) -> bool:
    """Whether the places behind the world's start frames are known, so that the real game can show them."""
    return isinstance(getattr(world, "start_states", None), StartFrames)


def played_courses(world: WorldModel, courses: Sequence[Course]) -> list[Course]:
    """The courses as the game lets them happen (its walls stop or deflect the camera), with its frames.

    Raises:
        MissingExtraError: ViZDoom is not installed.
    """
    try:
        require_vizdoom()
    except ImportError as error:
        purpose = "comparing with the real game (--no-game leaves it out)"
        raise MissingExtraError("ViZDoom", "doom", purpose) from error
    states: StartFrames = world.start_states  # type: ignore[attr-defined]
    seeds = sorted({int(states.map_seeds[course.start]) for course in courses})
    maps = [generate_map(seed) for seed in seeds]
    which = np.array([seeds.index(int(states.map_seeds[course.start])) for course in courses])
    starts = doom_poses(np.stack([states.map_poses[course.start] for course in courses]))
    motions, paths = walk(Walls([entry.segments for entry in maps]), which, starts, [course.flat for course in courses])
    with temporary_folder() as folder:
        wad = folder / "bench.wad"
        write_wad(maps, wad)
        with DoomRenderer(wad) as renderer:
            frames = [
                renderer.render(int(index), renderable_poses(path)) for index, path in zip(which, paths, strict=True)
            ]
    return [
        course.along(moves, world, real) for course, moves, real in zip(courses, motions, frames, strict=True)
    ]  # fmt: skip
