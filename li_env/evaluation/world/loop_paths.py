"""Loops that lead back to a pose: out and back (ABA) and round a triangle (ABCA), each then walked on as before.

The protocol is that of LoopNav (arXiv 2505.22976): the camera leaves A, comes back, and what it sees then is compared
with what it saw first. Here the first leg A to B is walked a second time, so that every pose of the leg is compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from li_env.doom.collision import RADIUS, Walls
from li_env.doom.explorers import STEP, TURN
from li_env.doom.renderer import renderable_poses
from li_env.evaluation.fidelity.settings import CHUNK
from li_env.evaluation.fidelity.walks import WalkableMap, is_clear

KINDS = {"ABA": 2, "ABCA": 3}
"""Names of the loops and their numbers of corners."""

_TRIES = 400

CELL = 8.0
"""Map units by which lengths of clear space are rounded."""


@dataclass(frozen=True, eq=False)
class Loop:
    """Poses of a loop.

    Attributes:
        doom_poses: [L, 3], L a multiple of the chunk; the end is filled by standing still.
        first: [n] indices of the first look, the poses of the first leg.
        second: [n] indices of the second look: the same poses, in the same order.
    """

    doom_poses: np.ndarray
    first: np.ndarray
    second: np.ndarray


def loop(kind: str, steps: int, start: tuple[float, float], heading: float) -> Loop:
    """Make the loop that begins at a place.

    Args:
        kind: one of `KINDS`.
        steps: steps of 0.75 m per leg.
        start: (x, y) of A in map units.
        heading: Doom angle in degrees, from A to B.
    """
    legs = KINDS[kind]
    turn = 360.0 / legs
    path = [(*start, heading)]
    for _ in range(legs):
        for _ in range(steps):
            x, y, angle = path[-1]
            path.append((x + STEP * np.cos(np.radians(angle)), y + STEP * np.sin(np.radians(angle)), angle))
        for _ in range(round(turn / TURN)):
            x, y, angle = path[-1]
            path.append((x, y, angle - TURN))
    lap = np.array(path[:-1])  # the last turn ends at A as it was
    leg = lap[: steps + 1]
    poses = np.concatenate([lap, leg])
    still = -len(poses) % CHUNK
    whole = renderable_poses(np.concatenate([poses, np.repeat(poses[-1:], still, axis=0)]))
    return Loop(whole, np.arange(steps + 1), len(lap) + np.arange(steps + 1))


def find_loop(walkable: WalkableMap, kind: str, steps: int, rng: np.random.Generator) -> Loop | None:
    """Draw places until a loop fits between the walls of a map; None if none of many does."""
    walls = Walls([walkable.segments], RADIUS)
    for _ in range(_TRIES):
        x, y = walkable.space.sample(rng)
        headings = np.arange(24) * TURN
        room = walkable.space.clear_lengths((x, y), np.radians(headings), steps * STEP + 2 * CELL)
        open_ones = headings[room >= steps * STEP]
        if len(open_ones):
            found = loop(kind, steps, (float(x), float(y)), float(rng.choice(open_ones)))
            if is_clear(walls, found.doom_poses, RADIUS):
                return found
    return None
