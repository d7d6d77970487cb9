"""The ways through a map that the report follows, as poses that the game can show.

Walks come from the explorers of the training data. Revisits are made to measure: a first look of a known length, then a
second look at the same poses or beside them. Poses are Doom's (x, y in map units, degrees counter-clockwise).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from li_env.doom.collision import Walls
from li_env.doom.explorers import STEP, TURN
from li_env.doom.renderer import MAP_UNITS_PER_METRE, renderable_poses
from li_env.doom.space import FreeSpace
from li_env.doom.trajectories import DEFAULT_KINDS, choose_kinds, simulate
from li_env.evaluation.fidelity.settings import CHUNK, LOOK_CHUNKS

WALKS = ("walk", "out_and_back", "spin", "mix")
"""Explorers; ``mix`` draws one of all kinds with the shares of the training data."""

LOOKS = ("out_and_back", "spin", "square", "offset")
"""Revisits. The second look of out_and_back walks the first one backwards, that of spin is a second full turn in place,
of square a second lap round a square of 1.5 m, turning at its corners, of offset the way back 0.75 m (or less, where
walls are near) beside the way out."""

_OFFSETS = (24.0, 16.0, 8.0)
_CANDIDATES = 48
_SQUARE_STEPS = 2


class WalkableMap(Protocol):
    """What `maps.DoomMap` and `handmade.HandmadeMap` share."""

    @property
    def segments(self) -> np.ndarray: ...

    @property
    def space(self) -> FreeSpace: ...


@dataclass(frozen=True)
class Course:
    """One way: ``doom_poses`` [L, 3] float64; motions [L - 1, 3] (yaw degrees, right, forward metres) of walks.

    ``first_look`` [L] is, for latents of the second look, the index of the latent that looked from the same pose
    (offset: from beside it) before, and -1 for latents of the first look; all -1 in walks.
    """

    doom_poses: np.ndarray
    first_look: np.ndarray
    commanded: np.ndarray
    feasible: np.ndarray


def walks(place: WalkableMap, kinds: tuple[str, ...], length: int, radius: float, seed: int) -> dict[str, Course]:
    """One walk of ``length`` poses of each of ``kinds`` (names of `WALKS`)."""
    rng = np.random.default_rng([seed, 1])
    drawn = [choose_kinds(1, DEFAULT_KINDS, rng)[0] if kind == "mix" else kind for kind in kinds]
    paths = simulate([place.space], [place.segments], [0] * len(kinds), drawn, length, rng, radius)
    return {
        kind: Course(paths.doom_poses[row], np.full(length, -1), paths.commanded[row], paths.feasible[row])
        for row, kind in enumerate(kinds)
    }


def looks(place: WalkableMap, radius: float, seed: int) -> dict[str, Course]:
    """One revisit of each of `LOOKS`; the first look of all but spin takes 8 chunks, spin's takes 6."""
    rng = np.random.default_rng([seed, 2])
    walls = Walls([place.segments], radius)
    length = LOOK_CHUNKS * CHUNK
    out = simulate(
        [place.space], [place.segments], [0] * _CANDIDATES, ["walk"] * _CANDIDATES, length, rng, radius
    ).doom_poses  # fmt: skip
    square = _square(place, walls, radius, rng)
    turn = _turn(place, rng)
    return {
        "out_and_back": _revisit(out[0], out[0][::-1], mirrored=True),
        "spin": _revisit(turn, turn, mirrored=False),
        "square": _revisit(square, square, mirrored=False),
        "offset": _offset(out, walls, radius),
    }


def world_matrices(doom_poses: np.ndarray) -> np.ndarray:
    """Doom (x, y, degrees) [..., 3] -> camera-to-world [..., 4, 4] float64 in metres: z is Doom's east, x its south."""
    x, y, degrees = np.moveaxis(np.asarray(doom_poses, dtype=np.float64), -1, 0)
    yaw = -np.radians(degrees)
    poses = np.zeros((*yaw.shape, 4, 4))
    poses[..., 0, 0] = poses[..., 2, 2] = np.cos(yaw)
    poses[..., 0, 2] = np.sin(yaw)
    poses[..., 2, 0] = -np.sin(yaw)
    poses[..., 0, 3] = -y / MAP_UNITS_PER_METRE
    poses[..., 2, 3] = x / MAP_UNITS_PER_METRE
    poses[..., 1, 1] = poses[..., 3, 3] = 1.0
    return poses


def _revisit(first: np.ndarray, second: np.ndarray, mirrored: bool) -> Course:
    count = len(first)
    back = np.arange(count)[::-1] if mirrored else np.arange(count)
    none = np.zeros((0, 3), dtype=np.float32)
    return Course(np.concatenate([first, second]), np.concatenate([np.full(count, -1), back]), none, none)


def _turn(place: WalkableMap, rng: np.random.Generator) -> np.ndarray:
    """A full turn in place, 24 poses."""
    x, y = place.space.sample(rng)
    degrees = rng.uniform(0, 360) + rng.choice([-1, 1]) * TURN * np.arange(round(360 / TURN))
    return renderable_poses(np.stack([np.full(24, x), np.full(24, y), degrees], axis=-1))


def _square(place: WalkableMap, walls: Walls, radius: float, rng: np.random.Generator) -> np.ndarray:
    """One lap: per side two steps, then a turn by 90 degrees in six; 32 poses, a 33rd would be the first again."""
    for _ in range(100 * _CANDIDATES):
        x, y = place.space.sample(rng)
        heading, side = float(rng.uniform(0, 360)), int(rng.choice([-1, 1]))
        path = [(float(x), float(y), heading)]
        for _ in range(4):
            for _ in range(_SQUARE_STEPS):
                x, y = x + STEP * np.cos(np.radians(heading)), y + STEP * np.sin(np.radians(heading))
                path.append((x, y, heading))
            for _ in range(round(90 / TURN)):
                heading -= side * TURN
                path.append((x, y, heading))
        poses = renderable_poses(np.array(path[:-1]))
        if _clear(walls, poses, radius):
            return poses
    raise RuntimeError("a map has no place for a square of 1.5 m")


def _offset(out: np.ndarray, walls: Walls, radius: float) -> Course:
    """Of the walks ``out`` [k, n, 3] the first that fits in beside itself, and that way back."""
    for size in _OFFSETS:
        for first in out:
            angle = np.radians(first[-1, 2])
            for side in (1.0, -1.0):
                shift = side * size * np.array([np.sin(angle), -np.cos(angle), 0.0])
                second = renderable_poses(first[::-1] + shift)
                if _clear(walls, second, radius):
                    return _revisit(first, second, mirrored=True)
    raise RuntimeError(f"none of {len(out)} walks fits in beside itself")


def _clear(walls: Walls, poses: np.ndarray, radius: float) -> bool:
    """Whether every pose keeps the walker's radius; steps are shorter than its width, so none can jump a wall."""
    return bool((walls.clearance(np.zeros(len(poses), dtype=int), poses[:, :2]) >= radius - 0.75).all())
