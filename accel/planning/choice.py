"""Choice of the parts of a preset that pay with so many environments, by the times that a cost table holds.

A part can cost time although it computes less. A GPU computes episodes in micro-batches, padded where they are not
full; a preset that gives episodes contexts of several lengths fills more of them than contexts of one length do. So the
time of a step is estimated for every subset of the parts: chunks are planned along walks, drawn as an environment of
this size would bring them, and put into model calls as the world does it.

The choice depends on the settings, the world, the table and the number of environments, never on what episodes do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Literal

import numpy as np

from li_env.accel.budget import memory_latents, most_recent_latents
from li_env.accel.config import AccelConfig
from li_env.accel.costs import CostTable
from li_env.accel.geometry.camera import follow_many
from li_env.accel.micro_batch import FIRST_MICRO_BATCH, PLANNER_MICRO_BATCH
from li_env.accel.plan import ChunkPlan
from li_env.accel.planning.attention import ATTENTION_POLICIES
from li_env.accel.planning.denoising import DENOISING_POLICIES
from li_env.accel.planning.parts import LeftOut, parts_of, without
from li_env.accel.planning.planner import Planner
from li_env.accel.pose_track import PoseTrack
from li_env.accel.world import BaseWorld
from li_env.accel.world_spec import WorldSpec

SLACK = 1.03
"""Factor by which a step may take longer than with the fastest parts if fewer parts are kept: what saves next to no
time should cost no quality, and times are not known better."""

WALKS = 32
"""Walks of each kind."""

CHUNKS = {"open": range(6, 14), "room": range(20, 28)}
"""Chunks that are planned along a walk of each kind: early ones without walls, later ones between walls, where more of
the coming views was seen before. Nobody knows how an agent will walk, so a part must pay along both."""

LEG_LATENTS = (2, 6)
"""Shortest and longest leg of a walk."""

DRAWN = 1024
"""Chunks that are drawn at least, in whole steps of an environment of several episodes."""

Place = Literal["open", "room", "scan"]
Parts = tuple[str, ...]


@dataclass(frozen=True)
class PartChoice:
    """Parts that are left out, and what they were chosen by.

    Attributes:
        left_out: parts in the order of `parts.PARTS`.
        milliseconds: estimated time of planning and making a chunk of every episode, by the parts that are kept; empty
            without a cost table.
    """

    left_out: Parts
    milliseconds: dict[Parts, float]


def choose_parts(world: BaseWorld, config: AccelConfig, num_envs: int) -> LeftOut:
    """Return the parts that ``config`` leaves out in an environment of ``num_envs`` episodes.

    Nothing is left out where the settings say ``cost_model: false``, or where no times of calls of this size are known.
    """
    own, scanned = (judge_parts(world, config, num_envs, each).left_out for each in (False, True))
    # Without micro-batches the choice is the same for every number of environments.
    many = f"with {num_envs} environments " if world.micro_batch(num_envs) > 1 else ""
    return LeftOut(own, scanned, f"{many}on this device") if own or scanned else LeftOut()


def judge_parts(world: BaseWorld, config: AccelConfig, num_envs: int, scanned: bool = False) -> PartChoice:
    """Estimate every subset of the parts of ``config`` and choose one.

    Subsets that are slower than the plain model along any kind of walk are out. Of those that are nearly as fast as the
    fastest of the others (`SLACK`) the smallest is chosen.

    Args:
        world: the world, with its cost table.
        config: the settings.
        num_envs: episodes of the environment.
        scanned: whether the episodes take place in scans.
    """
    spec, table, config = world.spec, world.costs, config.in_world(world.spec.name)
    size, parts = world.micro_batch(num_envs), parts_of(spec, config)
    if not parts or not config.cost_model or table is None or not table.knows(size):
        return PartChoice((), {})
    count = 1 if size == 1 else num_envs
    subsets = [kept for many in range(len(parts) + 1) for kept in combinations(parts, many)]
    places: tuple[Place, ...] = ("scan",) if scanned else ("open", "room")
    times: dict[Parts, list[float]] = {}
    works = set()
    for kept in subsets:
        left = without(config, [part for part in parts if part not in kept])
        plans = [planned(spec, left, place) for place in places]
        work = tuple((plan.context_latents, plan.sigmas, plan.attention) for each in plans for plan in each)
        if work not in works:  # a part that changes nothing, such as attention below its crossover, is none
            works.add(work)
            searched = 0.0 if scanned else _searched(table, left)  # in a scan all settings search alike
            times[kept] = [_step_time(world, table, each, count, searched) for each in plans]
    able = {
        kept: sum(own) / len(own)
        for kept, own in times.items()
        if all(time <= plain for time, plain in zip(own, times[()], strict=True))
    }
    good = [kept for kept, time in able.items() if time <= SLACK * min(able.values())]
    chosen = min(good, key=lambda kept: (len(kept), able[kept]))
    real = {part for kept in times for part in kept}
    means = {kept: sum(own) / len(own) for kept, own in times.items()}
    return PartChoice(tuple(part for part in parts if part in real and part not in chosen), means)


def _step_time(world: BaseWorld, table: CostTable, plans: Sequence[ChunkPlan], num_envs: int, searched: float) -> float:
    """Return the milliseconds of a step: searches, as far as the device waits for them, and model calls.

    A GPU begins with a micro-batch as soon as it is full, while the host goes on planning; those that are not full wait
    for the last episode.

    Args:
        world: the world.
        table: times of its calls.
        plans: what is drawn from.
        num_envs: episodes of the environment.
        searched: time of the search for one episode.
    """
    steps, size, total = _drawn(len(plans), num_envs), world.micro_batch(num_envs), 0.0
    streams = world.device.type == "cuda"
    for step in steps:
        end = searched * num_envs
        now = 0.0 if streams else end
        for call in world.model_calls([plans[index] for index in step], num_envs):
            own = [plans[step[member]] for member in call]
            if streams:
                now = max(now, end if len(call) < size else searched * _planned_with(max(call), num_envs))
            now += table.call(size, own[0], max(plan.steps for plan in own))
        total += now
    return total / len(steps)


def _planned_with(index: int, num_envs: int) -> int:
    """Return how many episodes have been planned once that of ``index`` has been: a first part, then parts."""
    more = -(-(index + 1 - FIRST_MICRO_BATCH) // PLANNER_MICRO_BATCH)
    return min(num_envs, FIRST_MICRO_BATCH + max(0, more) * PLANNER_MICRO_BATCH)


def _searched(table: CostTable, config: AccelConfig) -> float:
    """Return the milliseconds that an episode's searches for old views take: for the context, and for revisits."""
    rules = {config.memory, config.memory if config.revisit == "memory" else config.revisit}
    return sum(table.coverage_plan if rule == "coverage" else table.plain_plan for rule in rules)


@lru_cache(maxsize=256)
def _drawn(pool: int, num_envs: int) -> tuple[tuple[int, ...], ...]:
    """Return which of the ``pool`` chunks come together in each of several steps of ``num_envs`` episodes."""
    if num_envs == 1:
        return tuple((index,) for index in range(pool))
    generator = np.random.default_rng(0)
    steps = max(4, -(-DRAWN // num_envs))
    return tuple(tuple(generator.integers(pool, size=num_envs).tolist()) for _ in range(steps))


@lru_cache(maxsize=256)
def planned(spec: WorldSpec, config: AccelConfig, place: Place) -> tuple[ChunkPlan, ...]:
    """Return plans that settings make once the context is full.

    In a scan all contexts have one length, and nearly every chunk is a revisit.
    """
    if place == "scan":
        return (_in_scan(spec, config),)
    chunks = [max(chunk, full_chunk(spec), config.warmup_chunks) for chunk in CHUNKS[place]]
    begins = [spec.first_chunk_latents + (chunk - 1) * spec.chunk_latents for chunk in dict.fromkeys(chunks)]
    poses = _walks(spec, begins[-1] + spec.chunk_latents, place == "room")
    planner = Planner(spec, config)
    plans: list[ChunkPlan] = []
    for begin in begins:
        coming = poses[:, begin : begin + spec.chunk_latents]
        plans += planner.plan([PoseTrack(each[:begin]) for each in poses], list(coming))
    return tuple(plans)


def full_chunk(spec: WorldSpec) -> int:
    """Return the index of a chunk before which a whole context has been made."""
    return -(-spec.context_latents // spec.chunk_latents) + 1


def _in_scan(spec: WorldSpec, config: AccelConfig) -> ChunkPlan:
    window = tuple(range(most_recent_latents(spec, config)))
    views = tuple(range(memory_latents(spec, config)))
    sigmas, _ = DENOISING_POLICIES[config.denoising](spec).choose("revisit")
    attention, _ = ATTENTION_POLICIES[config.attention](spec, config).choose("revisit", len(window) + len(views))
    chunk = max(full_chunk(spec), config.warmup_chunks)
    return ChunkPlan(chunk, "revisit", 1.0, window, (), sigmas, attention, "", views=views)


@lru_cache(maxsize=8)
def _walks(spec: WorldSpec, latents: int, walled: bool) -> np.ndarray:
    """Return poses [walks, latents, 4, 4]: legs ahead, of turns and sometimes back, in the open or in a square room."""
    generator = np.random.default_rng(0)
    moves = np.zeros((4, 4))  # rows (yaw, pitch, right, forward): ahead, left, right, back
    moves[[0, 3], 3] = spec.motion.translation, -spec.motion.translation
    moves[[1, 2], 0] = -spec.motion.rotation, spec.motion.rotation
    poses = np.tile(np.eye(4), (WALKS, latents, 1, 1))
    ends, motions = np.zeros(WALKS, dtype=int), np.zeros((WALKS, 1, 4))
    half = spec.view_distance / 4
    for latent in range(1, latents):
        for walk in np.flatnonzero(ends < latent):
            ends[walk] += generator.integers(LEG_LATENTS[0], LEG_LATENTS[1] + 1)
            motions[walk, 0] = moves[generator.choice(4, p=(0.5, 0.2, 0.2, 0.1))]
        poses[:, latent] = follow_many(poses[:, latent - 1], motions)[:, 0]
        if walled:
            poses[:, latent, [0, 2], 3] = poses[:, latent, [0, 2], 3].clip(-half, half)
    return poses
