"""Cost table of a world on its device: times of model calls by context, denoising steps and attention.

Random latents stand in for an episode, because times do not depend on their values. Everything takes turns: a shared
machine drifts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.costs import CallTimes, CostTable
from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.accel.micro_batch import episodes_together
from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.planning.attention import ATTENTION_POLICIES
from li_env.accel.planning.choice import full_chunk
from li_env.accel.planning.denoising import ShortenedSchedule
from li_env.accel.planning.planner import Planner
from li_env.accel.pose_track import PoseTrack
from li_env.accel.runtime.ambient import own_torch_state
from li_env.accel.world import BaseWorld, ChunkRequest
from li_env.accel.world_spec import WorldSpec
from li_env.evaluation.calibration.attention import lengths

PLANNED = 32
"""Episodes whose planning is timed together."""


@dataclass(frozen=True)
class _Cell:
    """What is timed: model calls of an environment's size, one context, schedule and attention."""

    num_envs: int
    episodes: int
    context: int
    sigmas: tuple[float, ...]
    attention: AttentionPlan


def measure_cost(
    world: BaseWorld,
    preset: str = "sparse",
    num_envs: Sequence[int] = (1, 8, 32, 128),
    repeats: int = 5,
    max_seconds: float = 300.0,
    on_call: Callable[[], None] = lambda: None,
) -> tuple[CostTable, int]:
    """Time the model's calls on the device of the world.

    Args:
        world: the world.
        preset: preset with block-sparse attention, whose ratios are timed where its rule lets it fire.
        num_envs: sizes of environments; a call of every micro-batch that they lead to is timed.
        repeats: how often each is timed; one more goes first and does not count.
        max_seconds: no repeat begins after so many seconds; the first always runs.
        on_call: called after every timed call.

    Returns:
        The table, and the number of repeats that it rests on.

    Raises:
        ValueError: the world has no start frames.
    """
    if not len(world.start_views):
        raise ValueError(f"world={world.spec.name!r} has no start frames to begin with; use a world that has some")
    cells = cells_of(world, preset, num_envs)
    began, times = time.perf_counter(), np.zeros((repeats + 1, len(cells)))
    planning = np.zeros((repeats + 1, 2))
    done = 0
    with own_torch_state(), torch.inference_mode():
        prompt = (world.start_views.prompts or ("",))[0]
        scene = world.start([world.start_views.images[0]], [prompt])[0]
        for turn in range(repeats + 1):
            if turn > 1 and time.perf_counter() - began > max_seconds:
                break
            done = turn
            # Another cell begins in every repeat, so that none always follows the same.
            for index in np.roll(np.arange(len(cells)), -turn).tolist():
                times[turn, index] = _timed(world, scene, cells[index])
                on_call()
            planning[turn] = [_planning(world, name) for name in ("off", "context")]
    # The warm-up does not count.
    found = np.median(times[1 : done + 1], axis=0)
    plain, coverage = np.median(planning[1 : done + 1], axis=0).tolist()
    return _table(cells, found, float(f"{plain:.3g}"), float(f"{coverage:.3g}")), done


def cells_of(world: BaseWorld, preset: str, num_envs: Sequence[int]) -> list[_Cell]:
    """List what is timed, for every size of micro-batch once."""
    spec, config = world.spec, AccelConfig.of(preset).in_world(world.spec.name)
    sizes = {world.micro_batch(count): count for count in sorted(num_envs, reverse=True)}
    full, _ = ShortenedSchedule(spec).choose("explore")
    short, _ = ShortenedSchedule(spec).choose("revisit")
    attention = ATTENTION_POLICIES[config.attention](spec, config)
    cells = []
    for episodes, count in sorted(sizes.items()):
        for context in lengths(spec):
            kinds = dict.fromkeys([AttentionPlan(), attention.choose("explore", context)[0]])
            for kind in kinds:
                for sigmas in dict.fromkeys((short, full)):
                    cells.append(_Cell(count, episodes, context, sigmas, kind))
    return cells


def _timed(world: BaseWorld, scene: object, cell: _Cell) -> float:
    """Return the milliseconds of one call."""
    requests = [request_of(world, scene, cell, seed) for seed in range(cell.episodes)]
    with episodes_together(cell.num_envs):
        _wait(world.device)
        began = time.perf_counter()
        world.generate(requests)
        _wait(world.device)
    return 1000.0 * (time.perf_counter() - began)


def request_of(world: BaseWorld, scene: object, cell: _Cell, seed: int) -> ChunkRequest:
    """Make the request of a chunk over the newest ``cell.context`` latents of an episode that turns all the time."""
    spec = world.spec
    chunk = full_chunk(spec)  # the first chunks of an episode may go in smaller micro-batches
    end = spec.first_chunk_latents + (chunk - 1) * spec.chunk_latents
    turn = CameraMotion(yaw=spec.motion.rotation)
    count = spec.latents_in_chunk(chunk)
    poses = np.concatenate([np.eye(4)[None], follow(np.eye(4), (turn,) * (end + count - 1))])
    window = min(cell.context, spec.temporal_latents)
    memory, temporal = tuple(range(end - cell.context, end - window)), tuple(range(end - window, end))
    plan = ChunkPlan(chunk, "explore", 0.0, temporal, memory, cell.sigmas, cell.attention, "Timing.")
    shape = (cell.context + count, *spec.latent_shape)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(world.device)
    seen = slice(end - cell.context, end)
    return ChunkRequest(
        scene=scene,
        plan=plan,
        poses=poses[end:],
        motions=(turn,) * count,
        context=latents[: cell.context],
        context_poses=poses[seen],
        noise=latents[cell.context :],
        context_motions=(turn,) * cell.context,
    )


def _planning(world: BaseWorld, preset: str) -> float:
    """Return the milliseconds of planning one chunk of one episode."""
    spec: WorldSpec = world.spec
    planner = Planner(spec, AccelConfig.preset(preset), world.view_overlap)
    length = spec.first_chunk_latents + 16 * spec.chunk_latents
    turn = CameraMotion(yaw=spec.motion.rotation, forward=spec.motion.translation)
    poses = np.concatenate([np.eye(4)[None], follow(np.eye(4), (turn,) * (length + spec.chunk_latents - 1))])
    tracks = [PoseTrack(poses[:length])] * PLANNED
    began = time.perf_counter()
    planner.plan(tracks, [poses[length:]] * PLANNED)
    return 1000.0 * (time.perf_counter() - began) / PLANNED


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _table(cells: Sequence[_Cell], times: np.ndarray, plain: float, coverage: float) -> CostTable:
    steps = tuple(sorted({len(cell.sigmas) - 1 for cell in cells}))
    rows: dict[tuple[int, float, float], dict[int, dict[int, float]]] = {}
    for cell, milliseconds in zip(cells, times.tolist(), strict=True):
        own = rows.setdefault((cell.episodes, cell.attention.decode_ratio, cell.attention.context_ratio), {})
        own.setdefault(cell.context, {})[len(cell.sigmas) - 1] = float(f"{milliseconds:.4g}")
    calls = tuple(
        CallTimes(episodes, tuple(own), tuple(tuple(each[step] for step in steps) for each in own.values()), *ratios)
        for (episodes, *ratios), own in rows.items()
    )
    return CostTable(steps, calls, plain, coverage)
