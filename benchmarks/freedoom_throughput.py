"""Frames per second of the freedoom world by number of envs, through the native vector environment.

    python benchmarks/freedoom_throughput.py --device cuda --out benchmarks/freedoom_throughput_h200.json
    python benchmarks/freedoom_throughput.py --device cpu --worlds 1 8 32 --out benchmarks/freedoom_throughput_cpu.json

Every cell: warm-up until the context is full (timed separately: kernels are compiled and graphs captured there), then
steps with seeded random actions in the discrete space. ``stages`` are milliseconds per step as the engine measures
them; ``environment`` is the rest of the step: rewards, infos and observations, as far as no GPU works meanwhile. On a
GPU ``plan`` mostly overlaps too: only the part before the first micro-batch is subtracted from that rest. ``parts``
times the device work of the largest number of envs part by part. ``checks`` compares the chosen execution with the
plain model in float32, batches with single envs, and batches of different sizes: the lowest PSNR of any frame and the
PSNR of all frames together. ``pictures``, made before anything is timed, compares frames of this device, alone and
among the largest number of envs, with those of the plain model in float32 on the CPU; if the PSNR of any is below
30 dB the run ends there with exit status 1. The file is written after every cell.

Speeds depend on the host as much as on the GPU. What OUT held for the largest number of worlds before stays in it under
``earlier``, so that it collects hosts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from provenance import provenance

import li_env  # noqa: F401  registers the ids
from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.runtime.chunk import STAGES
from li_env.accel.runtime.engine import PLANNED_TOGETHER
from li_env.accel.runtime.machine import device_name
from li_env.accel.world import ChunkRequest, MotionRequest
from li_env.files import write_json
from li_env.infos import RegimeCode
from li_env.metrics import pooled_psnr, psnr
from li_env.vector_env import LightInteractionVectorEnv
from li_env.worlds.freedoom import batching
from li_env.worlds.freedoom.dynamics_fused import EXECUTIONS
from li_env.worlds.freedoom.world import FreedoomWorld, load

ID = "LightInteraction/Explore-v0"
WARM_UP = {"cuda": 12, "cpu": 6}
"""Chunks after which contexts are as long as they get; on a GPU also such that every shape has been captured."""

SAME = 30.0
"""dB. Frames of another map have about 15; bfloat16 instead of float32 costs two chunks some 40."""


def make(world: FreedoomWorld, worlds: int, **kwargs: Any) -> LightInteractionVectorEnv:
    """Make an environment without a time limit."""
    env = gymnasium.make_vec(
        ID, worlds, vectorization_mode="vector_entry_point", world=world, max_episode_steps=None, **kwargs
    )
    assert isinstance(env, LightInteractionVectorEnv)
    return env


def actions(worlds: int, steps: int, seed: int = 0) -> np.ndarray:
    """Draw actions, mostly ahead, sometimes turning: [steps, num_envs]."""
    return np.random.default_rng(seed).choice([1, 1, 1, 5, 6, 7, 8], (steps, worlds))


def synchronise(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def pictures(world: FreedoomWorld, sizes: Sequence[int], presets: Sequence[str], chunks: int = 2) -> dict[str, Any]:
    """Compare frames of up to four envs of every batch with the plain model in float32 on the CPU: PSNR in dB."""
    plain, found = load("cpu", dtype="float32", execution="plain"), []
    for preset in presets:
        for worlds in sizes:
            chosen = sorted({0, min(1, worlds - 1), worlds // 2, worlds - 1})
            path = actions(worlds, chunks)
            ours, expected = (
                make(world, worlds, preset=preset, device_obs=True),
                make(plain, len(chosen), preset=preset),
            )
            ours.reset(seed=0)
            expected.reset(seed=chosen)
            decibels = []
            for row in path:
                frames = torch.as_tensor(ours.step(row)[0])[chosen].cpu()
                decibels.append(psnr(frames, torch.as_tensor(expected.step(row[chosen])[0]).cpu()).flatten())
            every = torch.cat(decibels)
            pooled, lowest = (round(float(value), 2) for value in (pooled_psnr(every), every.min()))
            found.append({"worlds": worlds, "preset": preset, "lowest_psnr": lowest, "pooled_psnr": pooled})
            for env in (ours, expected):
                env.close()
    return {
        "against": "the plain model in float32 on the CPU",
        "chunks": chunks,
        "least_allowed": SAME,
        "same": all(entry["lowest_psnr"] >= SAME for entry in found),
        "batches": found,
    }


def earlier_runs(out: Path) -> list[dict[str, Any]]:
    """Return the earlier runs in ``out``, with the largest batches of its last one added."""
    if not out.exists():
        return []
    old = json.loads(out.read_text(encoding="utf-8"))
    cells: list[dict[str, Any]] = old.get("cells", [])
    largest = max((cell["worlds"] for cell in cells), default=0)
    kept = {key: old[key] for key in ("provenance", "note", "device", "versions") if key in old}
    last = {**kept, "cells": [cell for cell in cells if cell["worlds"] == largest]}
    return [*old.get("earlier", []), *([last] if cells else [])]


def measure(world: FreedoomWorld, worlds: int, preset: str, on_device: bool, seconds: float) -> dict[str, Any]:
    """One cell of the table."""
    if world.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(world.device)
    env = make(world, worlds, preset=preset, device_obs=on_device, timings=True)
    began = time.perf_counter()
    env.reset(seed=0)
    path, warm_up_steps = actions(worlds, 400), WARM_UP[world.device.type]
    for row in path[:warm_up_steps]:
        env.step(row)
    synchronise(world.device)
    warm_up = time.perf_counter() - began
    stages: dict[str, list[float]] = {name: [] for name in STAGES}
    regimes: dict[str, int] = {}
    contexts, walls = [], []
    began = time.perf_counter()
    for row in path[warm_up_steps:]:
        start = time.perf_counter()
        infos = env.step(row)[4]
        walls.append(time.perf_counter() - start)
        for name in STAGES:
            stages[name].append(float(infos[f"milliseconds_{name}"].sum()))
        for code in infos["regime"]:
            regime = RegimeCode(code).name.lower()
            regimes[regime] = regimes.get(regime, 0) + 1
        contexts += infos["context_latents"].tolist()
        if time.perf_counter() - began > seconds and len(walls) >= 3:
            break
    synchronise(world.device)
    wall = time.perf_counter() - began
    steps = len(walls)
    per_stage = {name: round(statistics.mean(values), 2) for name, values in stages.items()}
    hidden = per_stage["plan"] * max(0.0, 1 - PLANNED_TOGETHER / worlds) if world.device.type == "cuda" else 0.0
    cell = {
        "worlds": worlds,
        "preset": preset,
        "observations": "device" if on_device else "host",
        "frames_per_second": round(worlds * steps * world.spec.step_frames / wall, 1),
        "milliseconds_per_step": round(1000 * wall / steps, 2),
        "median_milliseconds": round(1000 * statistics.median(walls), 2),
        "median_frames_per_second": round(worlds * world.spec.step_frames / statistics.median(walls), 1),
        "stages": {**per_stage, "environment": round(1000 * wall / steps - sum(per_stage.values()) + hidden, 2)},
        "planner_microseconds_per_world": round(1000 * per_stage["plan"] / worlds, 1),
        "mean_context_latents": round(statistics.mean(contexts), 2),
        "regimes": regimes,
        "steps": steps,
        "warm_up_seconds": round(warm_up, 2),
    }
    if world.device.type == "cuda":
        cell["peak_gpu_mib"] = round(torch.cuda.max_memory_allocated(world.device) / 2**20, 1)
    print({key: cell[key] for key in ("preset", "worlds", "observations", "frames_per_second", "stages")}, flush=True)
    env.close()
    return cell


def request(world: FreedoomWorld, seed: int, context: int, sigmas: tuple[float, ...]) -> ChunkRequest:
    """Make the request of a chunk after a walk ahead, with random latents."""
    spec = world.spec
    count = context + spec.chunk_latents
    numbers = torch.randn((count, *spec.latent_shape), generator=torch.Generator().manual_seed(seed)).to(world.device)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 2, 3] = spec.motion.translation * np.arange(count)
    plan = ChunkPlan(9, "explore", 0.0, tuple(range(context)), (), sigmas, AttentionPlan(), "benchmark")
    scene = world.start(world.start_views.images[:1], [""])[0]
    return ChunkRequest(scene, plan, poses[context:], (), numbers[:context], poses[:context], numbers[context:])


def median_ms(world: FreedoomWorld, work: Callable[[], Any], repeats: int) -> float:
    """Median wall time with the device waited for; two runs before do not count."""
    times = []
    for _ in range(repeats + 2):
        synchronise(world.device)
        began = time.perf_counter()
        work()
        synchronise(world.device)
        times.append(1000 * (time.perf_counter() - began))
    return round(statistics.median(times[2:]), 3)


@torch.inference_mode()
def parts(world: FreedoomWorld, worlds: int, repeats: int) -> dict[str, float]:
    """Measure milliseconds of device work for one step of ``worlds`` envs with the full context."""
    spec = world.spec
    full = [request(world, seed, spec.context_latents, spec.sigmas) for seed in range(min(worlds, 4))]
    full = [full[index % len(full)] for index in range(worlds)]
    once = [replace(each, plan=replace(each.plan, sigmas=(1.0, 0.0))) for each in full]
    whole, single = (median_ms(world, lambda asked=asked: world.generate(asked), repeats) for asked in (full, once))
    call = (whole - single) / (len(spec.sigmas) - 2)
    walk = [MotionRequest(each.scene, each.poses[0], (), each.context[-8:], each.context_poses[-8:]) for each in full]
    moves = make(world, 1).runner.actions.to_motion(1)
    walk = [replace(each, motions=(moves,) * spec.chunk_latents) for each in walk]
    latents = [each.noise for each in full]
    streams = [None] * worlds
    decode = median_ms(world, lambda: world.decode_on_device(latents, streams), repeats)
    with_copy = median_ms(world, lambda: world.decode(latents, streams), repeats)
    return {
        "worlds": worlds,
        "motion_head": median_ms(world, lambda: world.feasible_motions(walk), repeats),
        "context_pass": round(single - call, 3),
        "denoising_call": round(call, 3),
        "denoising": round(call * (len(spec.sigmas) - 1), 3),
        "decode": decode,
        "host_copy": round(with_copy - decode, 3),
    }


@torch.inference_mode()
def checks(world: FreedoomWorld, worlds: int, steps: int) -> dict[str, Any]:
    """Compare this execution with the plain model, and envs with and without neighbours in the batch."""
    exact = load(str(world.device), dtype="float32", execution="plain")
    plain = load(str(world.device), dtype=str(world.dtype).removeprefix("torch."), execution="plain")
    found: dict[str, Any] = {}
    for context in (0, world.spec.context_latents):
        asked = [request(world, seed, context, world.spec.sigmas) for seed in range(2)]
        truth = torch.stack(exact.generate(asked))
        for name, other in (("plain", plain), ("this", world)):
            error = (torch.stack(other.generate(asked)) - truth).norm() / truth.norm()
            found[f"error_{name}_context_{context}"] = round(float(error), 6)
    path = actions(worlds, steps)
    together, alone = (make(world, size) for size in (worlds, 1))
    last = worlds - 1
    for env, seed in ((together, 0), (alone, last)):
        env.reset(seed=seed)
    batch = [together.step(row)[0] for row in path]
    single = [alone.step(row[last:])[0][0] for row in path]
    found[f"single_equals_batch_of_{worlds}"] = all(
        np.array_equal(a[last], b) for a, b in zip(batch, single, strict=True)
    )
    for name, other in (("", world), ("_float32", load(str(world.device), None, "float32", world.execution))):
        lowest, pooled = psnr_across_sizes(other, path)
        found[f"lowest_psnr_{worlds}_against_{2 * worlds}_worlds{name}"] = lowest
        found[f"pooled_psnr_{worlds}_against_{2 * worlds}_worlds{name}"] = pooled
    disturbed, same = make(world, worlds), True
    disturbed.reset(seed=0)
    for step, row in enumerate(path):
        if step == steps // 2:
            disturbed.reset(seed=77, options={"reset_mask": np.arange(worlds) == 0})
        same = same and np.array_equal(disturbed.step(row)[0][1:], batch[step][1:])
    found["reset_leaves_others_bit_identical"] = bool(same)
    return found


def psnr_across_sizes(world: FreedoomWorld, path: np.ndarray) -> tuple[float, float]:
    """Return PSNR [dB] of the same envs alone and among twice as many: of the worst frame, and of all frames."""
    worlds = path.shape[1]
    small, large = make(world, worlds), make(world, 2 * worlds)
    for env in (small, large):
        env.reset(seed=0)
    pairs = [(small.step(row)[0], large.step(np.tile(row, 2))[0][:worlds]) for row in path]
    few, many = (torch.from_numpy(np.stack(side)) for side in zip(*pairs, strict=True))
    decibels = psnr(few, many)
    return round(float(decibels.min()), 2), round(pooled_psnr(decibels), 2)


def profile(world: FreedoomWorld, worlds: int, preset: str) -> list[dict[str, Any]]:
    """Kernels of one step by time."""
    env = make(world, worlds, preset=preset, device_obs=True)
    env.reset(seed=0)
    for row in actions(worlds, WARM_UP[world.device.type]):
        env.step(row)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as recorded:
        env.step(actions(worlds, 1)[0])
        synchronise(world.device)
    events = sorted(recorded.key_averages(), key=lambda event: -event.self_device_time_total)
    return [
        {"kernel": event.key[:100], "ms": round(event.self_device_time_total / 1000, 3), "calls": event.count}
        for event in events[:30]
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--execution", default="auto", choices=(*EXECUTIONS, "auto"))
    parser.add_argument("--worlds", type=int, nargs="+", default=[1, 8, 32, 128, 512])
    parser.add_argument("--presets", nargs="+", default=["off", "all"])
    parser.add_argument(
        "--block", type=int, default=batching.GPU_MICRO_BATCHES[-1], help="most worlds computed together"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="about, per cell")
    parser.add_argument("--repeats", type=int, default=5, help="of the parts")
    parser.add_argument("--no-checks", action="store_true")
    parser.add_argument("--profile", action="store_true", help="list kernels (CUDA)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    batching.GPU_MICRO_BATCHES = tuple(
        sorted({size for size in batching.GPU_MICRO_BATCHES if size < given.block} | {given.block})
    )
    world = load(given.device, dtype=given.dtype, execution=given.execution)
    report: dict[str, Any] = {
        "provenance": provenance(),
        "device": device_name(world.device),
        "dtype": str(world.dtype),
        "execution": world.execution,
        "blocks": list(batching.GPU_MICRO_BATCHES),
        "threads": given.threads,
        "cells": [],
        "earlier": earlier_runs(given.out),
    }
    largest = max(given.worlds)

    def keep(key: str, work: Callable[[], Any]) -> None:
        # What was measured before stays, whatever happens to the rest.
        report[key] = work()
        write_json(given.out, report)

    sizes = sorted({1, largest}) if given.device == "cuda" else [1]
    keep("pictures", lambda: pictures(world, sizes, given.presets))
    print(report["pictures"], flush=True)
    if not report["pictures"]["same"]:
        sys.exit(f"frames differ by more than {SAME:g} dB from the plain model's on the CPU: nothing was timed")
    for preset in given.presets:
        for worlds in given.worlds:
            sides = [True, False] if given.device == "cuda" and worlds == largest else [given.device == "cuda"]
            for on_device in sides:
                cell = measure(world, worlds, preset, on_device, given.seconds)
                keep("cells", lambda cell=cell: [*report["cells"], cell])
    # On a CPU envs are computed one by one.
    keep("parts", lambda: parts(world, largest if given.device == "cuda" else 1, given.repeats))
    print(report["parts"], flush=True)
    if not given.no_checks:
        keep("checks", lambda: checks(world, *((8, 8) if given.device == "cuda" else (2, 2))))
        print(report["checks"], flush=True)
    if given.profile:
        for preset in given.presets:
            keep(f"kernels_{preset}", lambda preset=preset: profile(world, largest, preset))
    print(f"written: {given.out}")


if __name__ == "__main__":
    main()
