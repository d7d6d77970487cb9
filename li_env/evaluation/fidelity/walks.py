"""Walks through a map that the report follows, as poses that the game can show.

Plain walks come from the explorers of the training data. A revisit is constructed: a first look of a known length, then
a second look at the same poses or beside them. Poses are Doom's (x, y in map units, degrees counter-clockwise).
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
"""Names of explorers; ``mix`` draws one of all kinds with the shares of the training data."""

LOOKS = ("out_and_back", "spin", "square", "offset")
"""Names of revisits, by their second look: out_and_back walks the first look backwards, spin is a second full turn in
place, square a second lap round a square of 1.5 m with turns at its corners, offset a return 0.75 m beside the first
look (less where walls are near)."""

_OFFSETS = (24.0, 16.0, 8.0)
_CANDIDATES = 48
_SQUARE_STEPS = 2


class WalkableMap(Protocol):
    """Part that `maps.DoomMap` and `handmade.HandmadeMap` share."""

    @property
    def segments(self) -> np.ndarray: ...

    @property
    def space(self) -> FreeSpace: ...


@dataclass(frozen=True)
class Walk:
    """Poses of one walk, and its motions if an explorer made it.

    Attributes:
        doom_poses: [L, 3] float64.
        first_look: [L]; in the second look of a revisit, the index of the latent that looked from the same pose before
            (offset: from beside it); -1 in a first look and in plain walks.
        commanded, feasible: [L - 1, 3] (yaw degrees, right, forward metres); empty in revisits.
    """

    doom_poses: np.ndarray
    first_look: np.ndarray
    commanded: np.ndarray
    feasible: np.ndarray


def walks(walkable: WalkableMap, kinds: tuple[str, ...], length: int, radius: float, seed: int) -> dict[str, Walk]:
    """Draw one walk of ``length`` poses for each of ``kinds`` (names of `WALKS`)."""
    rng = np.random.default_rng([seed, 1])
    drawn = [choose_kinds(1, DEFAULT_KINDS, rng)[0] if kind == "mix" else kind for kind in kinds]
    paths = simulate([walkable.space], [walkable.segments], [0] * len(kinds), drawn, length, rng, radius)
    return {
        kind: Walk(paths.doom_poses[row], np.full(length, -1), paths.commanded[row], paths.feasible[row])
        for row, kind in enumerate(kinds)
    }


def looks(walkable: WalkableMap, radius: float, seed: int) -> dict[str, Walk]:
    """Draw one revisit for each of `LOOKS`; the first look takes 8 chunks, 6 in spin."""
    rng = np.random.default_rng([seed, 2])
    walls = Walls([walkable.segments], radius)
    length = LOOK_CHUNKS * CHUNK
    out = simulate(
        [walkable.space], [walkable.segments], [0] * _CANDIDATES, ["walk"] * _CANDIDATES, length, rng, radius
    ).doom_poses  # fmt: skip
    square = _square(walkable, walls, radius, rng)
    turn = _turn(walkable, rng)
    return {
        "out_and_back": _revisit(out[0], out[0][::-1], mirrored=True),
        "spin": _revisit(turn, turn, mirrored=False),
        "square": _revisit(square, square, mirrored=False),
        "offset": _offset(out, walls, radius),
    }


def world_matrices(doom_poses: np.ndarray) -> np.ndarray:
    """Convert Doom poses [..., 3] to camera-to-world [..., 4, 4] float64 in metres: z is Doom's east, x its south."""
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


def _revisit(first: np.ndarray, second: np.ndarray, mirrored: bool) -> Walk:
    count = len(first)
    back = np.arange(count)[::-1] if mirrored else np.arange(count)
    none = np.zeros((0, 3), dtype=np.float32)
    return Walk(np.concatenate([first, second]), np.concatenate([np.full(count, -1), back]), none, none)


def _turn(walkable: WalkableMap, rng: np.random.Generator) -> np.ndarray:
    """Make a full turn in place, 24 poses."""
    x, y = walkable.space.sample(rng)
    degrees = rng.uniform(0, 360) + rng.choice([-1, 1]) * TURN * np.arange(round(360 / TURN))
    return renderable_poses(np.stack([np.full(24, x), np.full(24, y), degrees], axis=-1))


def _square(walkable: WalkableMap, walls: Walls, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Walk one lap of 32 poses: per side two steps, then a turn by 90 degrees in six."""
    for _ in range(100 * _CANDIDATES):
        x, y = walkable.space.sample(rng)
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
        if is_clear(walls, poses, radius):
            return poses
    raise RuntimeError("a map has no room for a square of 1.5 m")


def _offset(out: np.ndarray, walls: Walls, radius: float) -> Walk:
    """Choose the first of the walks ``out`` [k, n, 3] that fits in beside itself, and return beside it."""
    for size in _OFFSETS:
        for first in out:
            angle = np.radians(first[-1, 2])
            for side in (1.0, -1.0):
                shift = side * size * np.array([np.sin(angle), -np.cos(angle), 0.0])
                second = renderable_poses(first[::-1] + shift)
                if is_clear(walls, second, radius):
                    return _revisit(first, second, mirrored=True)
    raise RuntimeError(f"none of {len(out)} walks fits in beside itself")


def is_clear(walls: Walls, poses: np.ndarray, radius: float) -> bool:
    """Return whether every pose keeps the radius; steps are shorter than the walker is wide, so none jumps a wall."""
    return bool((walls.clearance(np.zeros(len(poses), dtype=int), poses[:, :2]) >= radius - 0.75).all())
