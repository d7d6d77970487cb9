"""Commands that are tried at poses of walks, and what the walls leave of them: no frame has to be rendered for these.

Walks meet walls seldom, and a head that learns from walks alone sees the same few collisions again and again.
"""

from __future__ import annotations

import numpy as np

from li_env.doom.collision import Walls
from li_env.doom.renderer import MAP_UNITS_PER_METRE
from li_env.doom.trajectories import Trajectories, advance

TRIED_MOTIONS = 4
"""Motions in a row that are tried: those of one chunk."""

_ROWS = 4096  # walkers at a time: their tables of walls stay small


def try_commands(
    walls: Walls, which: np.ndarray, walks: Trajectories, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Try ``count`` commands at every pose of every walk.

    A command is cut from any of the walks, so that commands are as frequent as there, but know nothing of the walls.

    Args:
        walls: walls of the maps.
        which: [N] map of each walk.
        walks: N walks of at least ``TRIED_MOTIONS + 1`` poses.
        count: commands per pose; 0 gives empty arrays.
        rng: source of all randomness.

    Returns:
        commanded and realised motions, each float32 [N, L, count, 4, 3] (yaw degrees, right, forward in metres).
    """
    number, length = walks.doom_poses.shape[:2]
    shape = number, length, count
    row = rng.integers(number, size=shape)
    first = rng.integers(max(1, length - TRIED_MOTIONS), size=shape) if count else np.zeros(shape, dtype=int)
    commanded = walks.commanded[row[..., None], first[..., None] + np.arange(TRIED_MOTIONS)]
    metres = np.array([1.0, 1 / MAP_UNITS_PER_METRE, 1 / MAP_UNITS_PER_METRE])
    motions = commanded.reshape(-1, TRIED_MOTIONS, 3) / metres
    realised = np.empty_like(motions)
    states = np.repeat(walks.doom_poses.reshape(-1, 3), count, axis=0)
    maps = np.repeat(np.asarray(which, dtype=int), length * count)
    for begin in range(0, len(motions), _ROWS):
        part = slice(begin, begin + _ROWS)
        here = states[part].copy()
        for turn in range(TRIED_MOTIONS):
            realised[part, turn], _ = advance(walls, maps[part], here, motions[part, turn])
    return commanded, (realised * metres).reshape(commanded.shape).astype(np.float32)
