"""The real game along the benchmark's courses, for the freedoom world. Needs the extra ``doom``."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from li_env.accel.camera import CameraMotion
from li_env.accel.world import WorldModel
from li_env.bench.courses import Course
from li_env.errors import MissingExtraError
from li_env.worlds.freedoom.doom.collision import Walls
from li_env.worlds.freedoom.doom.maps import generate_map, write_wad
from li_env.worlds.freedoom.doom.renderer import (
    MAP_UNITS_PER_METRE,
    DoomRenderer,
    renderable_poses,
    require_vizdoom,
)
from li_env.worlds.freedoom.start_states import StartStates

_SAME = 1e-9  # metres: below this the walls left a motion alone


def has_game(world: WorldModel) -> bool:
    """Whether the places behind the world's start frames are known, so that the real game can show them."""
    return isinstance(getattr(world, "start_states", None), StartStates)


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
    states: StartStates = world.start_states  # type: ignore[attr-defined]
    seeds = sorted({int(states.map_seeds[course.start]) for course in courses})
    maps = [generate_map(seed) for seed in seeds]
    which = np.array([seeds.index(int(states.map_seeds[course.start])) for course in courses])
    starts = doom_poses(np.stack([states.map_poses[course.start] for course in courses]))
    motions, paths = walk(Walls([entry.segments for entry in maps]), which, starts, [course.flat for course in courses])
    with tempfile.TemporaryDirectory() as folder:
        wad = Path(folder) / "bench.wad"
        write_wad(maps, wad)
        with DoomRenderer(wad) as renderer:
            frames = [
                renderer.render(int(index), renderable_poses(path)) for index, path in zip(which, paths, strict=True)
            ]
    return [
        course.along(moves, world, real) for course, moves, real in zip(courses, motions, frames, strict=True)
    ]  # fmt: skip


def doom_poses(poses: np.ndarray) -> np.ndarray:
    """World poses [n, 3] (x right, z forward in metres, yaw in degrees) -> Doom (x, y, degrees), renderable."""
    x, z, yaw = np.moveaxis(np.asarray(poses, dtype=np.float64), -1, 0)
    return renderable_poses(np.stack([z * MAP_UNITS_PER_METRE, -x * MAP_UNITS_PER_METRE, -yaw % 360.0], -1))


def walk(
    walls: Walls, which: np.ndarray, starts: np.ndarray, commanded: Sequence[Sequence[CameraMotion]]
) -> tuple[list[tuple[CameraMotion, ...]], np.ndarray]:
    """Walk in maps with the game's collision.

    Args:
        walls: of the maps.
        which: [n] map of each walker.
        starts: [n, 3] Doom poses (x, y, degrees).
        commanded: per walker equally many motions.

    Returns:
        (the motions that happen, a commanded one itself where nothing is in its way; Doom poses [n, length + 1, 3]).
    """
    states = np.array(starts, dtype=np.float64)
    paths, happened = [states.copy()], []
    for moves in zip(*commanded, strict=True):
        states[:, 2] = (states[:, 2] - [move.yaw for move in moves]) % 360.0
        angle = np.radians(states[:, 2])
        cosine, sine = np.cos(angle), np.sin(angle)
        right = MAP_UNITS_PER_METRE * np.array([move.right for move in moves])
        ahead = MAP_UNITS_PER_METRE * np.array([move.forward for move in moves])
        wanted = np.stack([ahead * cosine + right * sine, ahead * sine - right * cosine], axis=1)
        real = walls.slide(which, states[:, :2], wanted) - states[:, :2]
        states[:, :2] += real
        paths.append(states.copy())
        feasible = np.stack([real[:, 0] * sine - real[:, 1] * cosine, real[:, 0] * cosine + real[:, 1] * sine], axis=1)
        happened.append([_happened(move, *pair) for move, pair in zip(moves, feasible.tolist(), strict=True)])
    return [tuple(moves) for moves in zip(*happened, strict=True)], np.stack(paths, axis=1)


def _happened(move: CameraMotion, right: float, ahead: float) -> CameraMotion:
    right, ahead = right / MAP_UNITS_PER_METRE, ahead / MAP_UNITS_PER_METRE
    if abs(right - move.right) < _SAME and abs(ahead - move.forward) < _SAME:
        return move
    return CameraMotion(yaw=move.yaw, right=right, forward=ahead)
