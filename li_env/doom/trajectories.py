"""Many walkers at once: commanded motions, realised motions, and the poses to render.

Walkers are simulated in lockstep so that collision is one batched call per step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from li_env.doom.collision import LONGEST_STEP, RADIUS, Walls
from li_env.doom.explorers import EXPLORERS, KINDS, Body
from li_env.doom.renderer import MAP_UNITS_PER_METRE, renderable_poses
from li_env.doom.space import FreeSpace

DEFAULT_KINDS: dict[str, float] = {
    "walk": 0.32,
    "out_and_back": 0.20,
    "turn_around": 0.12,
    "spin": 0.09,
    "square": 0.08,
    "detour": 0.08,
    "wall": 0.11,
}


@dataclass(frozen=True)
class Trajectories:
    """Trajectories of N walkers, L poses each.

    Attributes:
        doom_poses: [N, L, 3] float64 (x, y, degrees), exactly renderable.
        commanded: [N, L - 1, 3] float32 (yaw degrees, right metres, forward metres) in the turned camera's frame.
        feasible: the realised motions, in the same form. They are not rounded, so that free motion equals the command;
            ``doom_poses`` are rounded to whole map units (at most 0.022 m off) and never accumulate that error.
        kinds: [N] int16, index into `KINDS`.
    """

    doom_poses: np.ndarray
    commanded: np.ndarray
    feasible: np.ndarray
    kinds: np.ndarray


def world_poses(doom_poses: np.ndarray) -> np.ndarray:
    """Convert Doom poses (x, y, degrees) [..., 3] to the world's (x, z metres, yaw degrees in [-180, 180)), float32.

    World z is Doom's east, world x its south; yaw turns right.
    """
    x, y, degrees = np.moveaxis(np.asarray(doom_poses, dtype=np.float64), -1, 0)
    yaw = (-degrees + 180.0) % 360.0 - 180.0
    return np.stack([-y / MAP_UNITS_PER_METRE, x / MAP_UNITS_PER_METRE, yaw], -1).astype(np.float32)


def choose_kinds(count: int, weights: Mapping[str, float], rng: np.random.Generator) -> list[str]:
    """Draw ``count`` kinds.

    Raises:
        ValueError: an unknown kind, or weights that do not sum to something positive.
    """
    for kind, weight in weights.items():
        if kind not in EXPLORERS or not weight >= 0:
            raise ValueError(f"kinds_weights[{kind!r}] = {weight!r}; allowed: kinds {', '.join(KINDS)}, weights >= 0")
    total = float(sum(weights.values()))
    if total <= 0:
        raise ValueError(f"kinds_weights sum to {total}; allowed: a positive sum")
    return [str(kind) for kind in rng.choice(list(weights), count, p=np.array(list(weights.values())) / total)]


def _new_body(space: FreeSpace, length: int, rng: np.random.Generator) -> Body:
    x, y = space.sample(rng)
    heading = 15.0 * int(rng.integers(24)) if rng.random() < 0.3 else float(rng.uniform(0, 360))
    body = Body(float(x), float(y), float(renderable_poses(np.array([[0, 0, heading]]))[0, 2]), space, rng, length)
    style = rng.random()
    if style < 0.10:
        size = float(rng.uniform(20, 32))
        body.stride = (size, size)
    elif style < 0.18:
        body.stride = (20.0, 32.0)
    elif style < 0.26:
        body.stride = (4.0, 24.0)
    if rng.random() < 0.22:
        size = float(rng.uniform(3, 15))
        body.turn = (size, size) if rng.random() < 0.5 else (2.0, 15.0)
    return body


def advance(walls: Walls, which: np.ndarray, states: np.ndarray, motions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move walkers by one motion each; ``states`` [N, 3] (x, y, degrees) change in place.

    Args:
        walls: walls of the maps.
        which: [N] map of each walker.
        states: Doom poses before the motion.
        motions: [N, 3] (yaw degrees, right, forward in map units) in the turned camera's frame.

    Returns:
        the realised motions [N, 3] in the same form; how far [N] walls kept a walker from where it wanted to go, along
        the axis of the map in which it is more.
    """
    states[:, 2] = (states[:, 2] - motions[:, 0]) % 360.0
    angle = np.radians(states[:, 2])
    cosine, sine = np.cos(angle), np.sin(angle)
    sideways, ahead = motions[:, 1], motions[:, 2]
    longest = np.sqrt(sideways**2 + ahead**2)
    wanted = np.stack([ahead * cosine + sideways * sine, ahead * sine - sideways * cosine], 1)
    assert longest.max(initial=0.0) <= LONGEST_STEP
    reached = walls.slide(which, states[:, :2], wanted)
    real = reached - states[:, :2]
    states[:, :2] = reached
    right, forward = real[:, 0] * sine - real[:, 1] * cosine, real[:, 0] * cosine + real[:, 1] * sine
    return np.stack([motions[:, 0], right, forward], 1), np.abs(real - wanted).max(1)


def simulate(
    spaces: Sequence[FreeSpace],
    segments: Sequence[np.ndarray],
    which: Sequence[int],
    kinds: Sequence[str],
    length: int,
    rng: np.random.Generator,
    radius: float = RADIUS,
) -> Trajectories:
    """Let walkers explore maps.

    Args:
        spaces, segments: free space and blocking segments per map.
        which: [N] map of each walker.
        kinds: [N] explorer of each walker.
        length: poses per walk, at least 2.
        rng: source of all randomness; a walk depends only on its own child generator.
        radius: radius of the walkers and of the free spaces.
    """
    count = len(which)
    bodies = [_new_body(spaces[m], length, child) for m, child in zip(which, rng.spawn(count), strict=True)]
    scripts = [EXPLORERS[kind](body) for kind, body in zip(kinds, bodies, strict=True)]
    walls = Walls(segments, radius)
    maps = np.asarray(which, dtype=int)
    states = np.array([[body.x, body.y, body.heading] for body in bodies])
    path = np.empty((count, length, 3))
    path[:, 0] = states
    commanded = np.empty((count, length - 1, 3))
    feasible = np.empty_like(commanded)
    for step in range(length - 1):
        motions = np.array([next(script) for script in scripts])
        feasible[:, step], apart = advance(walls, maps, states, motions)
        path[:, step + 1] = states
        commanded[:, step] = motions
        touching = apart > 0.5
        for body, (x, y, heading), touch in zip(bodies, states.tolist(), touching.tolist(), strict=True):
            body.x, body.y, body.heading, body.touching = x, y, heading, touch
            body.left -= 1
    metres = np.array([1.0, 1 / MAP_UNITS_PER_METRE, 1 / MAP_UNITS_PER_METRE])
    return Trajectories(
        renderable_poses(path),
        (commanded * metres).astype(np.float32),
        (feasible * metres).astype(np.float32),
        np.array([KINDS.index(kind) for kind in kinds], dtype=np.int16),
    )
