"""Frames per second of the freedoom world by number of envs, through the native vector environment.

    python benchmarks/freedoom_throughput.py --device cuda --out benchmarks/freedoom_throughput_h200.json
    python benchmarks/freedoom_throughput.py --device cpu --worlds 1 8 32 --out benchmarks/freedoom_throughput_cpu.json

    python benchmarks/freedoom_throughput.py --device cuda --worlds 512 --presets all --halves --grounded --ppo 512 \
        --scans DIR --dataset FILE --max-seconds 540 --no-checks --out OUT

Every cell: warm-up until the context is full (timed separately: kernels are compiled and graphs captured there), then
steps with seeded random actions in the discrete space. ``stages`` are milliseconds per step as the engine measures
them; ``environment`` is the rest of the step: rewards, infos and observations, as far as no GPU works meanwhile. On a
GPU ``plan`` mostly overlaps too: only the part before the first micro-batch is subtracted from that rest.
``gpu_share`` is the share of a step in which the GPU works, as torch's profiler records it (throughput_cells.py).

``--halves`` measures every cell again with two halves of its envs in flight (list ``halves``), ``--grounded`` with envs
in scans that they share (list ``grounded``), and ``--ppo`` the whole loop of a training on so many envs (list ``ppo``),
in scans too where ``--scans`` and ``--dataset`` are given. ``--max-seconds`` leaves the rest out and names it under
``left_out``.

``parts`` times the device work of the largest number of envs part by part. ``checks`` compares the chosen execution
with the plain model in float32, batches with single envs, and batches of different sizes: the lowest PSNR of any frame
and the PSNR of all frames together. ``pictures``, made before anything is timed, compares frames of this device, alone
and among the largest number of envs, with those of the plain model in float32 on the CPU; if the PSNR of any is below
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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from provenance import provenance
from throughput_cells import WARM_UP, actions, made_up_scans, make, measure, ppo_loop, synchronise

from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.runtime.machine import device_name
from li_env.accel.world import ChunkRequest, MotionRequest
from li_env.files import write_json
from li_env.fitted_scans import scan_sources
from li_env.metrics import pooled_psnr, psnr
from li_env.worlds.freedoom import batching
from li_env.worlds.freedoom.dynamics_fused import EXECUTIONS
from li_env.worlds.freedoom.world import FreedoomWorld, load

SAME = 30.0
"""dB. Frames of another map have about 15; bfloat16 instead of float32 costs two chunks some 40."""


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


def cells(world: FreedoomWorld, given: argparse.Namespace) -> Iterator[tuple[str, str, Callable[[], dict[str, Any]]]]:
    """Yield list, name and work of every cell that the command line asks for."""
    cuda, largest = world.device.type == "cuda", max(given.worlds)
    flights = [False, True] if given.halves else [False]
    scans = (
        (scan_sources(None, given.scans) if given.scans else made_up_scans(given.scan_count)) if given.grounded else []
    )
    for preset, worlds in product(given.presets, given.worlds):
        for halves in flights if worlds > 1 else [False]:
            kind = "halves" if halves else "cells"
            for on_device in [True, False] if cuda and worlds == largest else [cuda]:
                words = (world, worlds, preset, on_device, given.seconds, halves)
                yield kind, f"{kind} {worlds} {preset}", partial(measure, *words)
            if scans:
                words = (world, worlds, preset, cuda, given.seconds, halves, scans)
                yield "grounded", f"grounded {kind} {worlds} {preset}", partial(measure, *words)
    inside = [("", None), *([(str(given.scans), given.dataset)] if given.scans and given.dataset else [])]
    for preset, worlds, halves, own in product(given.presets, given.ppo, flights, inside):
        words = (world, worlds, preset, given.ppo_seconds, halves, given.ppo_horizon, *own)
        yield "ppo", f"ppo {worlds} {preset}", partial(ppo_loop, *words)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--execution", default="auto", choices=(*EXECUTIONS, "auto"))
    parser.add_argument("--worlds", type=int, nargs="+", default=[1, 8, 32, 128, 512, 1024])
    parser.add_argument("--presets", nargs="+", default=["off", "all"])
    parser.add_argument(
        "--block", type=int, default=batching.GPU_MICRO_BATCHES[-1], help="most worlds computed together"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="about, per cell")
    parser.add_argument("--repeats", type=int, default=5, help="of the parts")
    parser.add_argument("--halves", action="store_true", help="every cell also with two halves of its envs in flight")
    parser.add_argument("--grounded", action="store_true", help="also envs in scans; made up without --scans")
    parser.add_argument("--scans", type=Path, help="folder of scans")
    parser.add_argument("--scan-count", type=int, default=64, help="made-up scans")
    parser.add_argument("--dataset", type=Path, help="episodes on the maps of the scans, for --ppo")
    parser.add_argument("--ppo", type=int, nargs="+", default=[], help="envs of trainings with PPO to measure")
    parser.add_argument("--ppo-seconds", type=float, default=40.0, help="about, per training")
    parser.add_argument("--ppo-horizon", type=int, default=32, help="steps per env between two updates")
    parser.add_argument("--max-seconds", type=float, default=float("inf"), help="no measurement begins after that")
    parser.add_argument("--no-checks", action="store_true")
    parser.add_argument("--profile", action="store_true", help="list kernels (CUDA)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    began, cuda = time.monotonic(), given.device == "cuda"
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

    sizes = sorted({1, largest}) if cuda else [1]
    keep("pictures", lambda: pictures(world, sizes, given.presets))
    print(report["pictures"], flush=True)
    if not report["pictures"]["same"]:
        sys.exit(f"frames differ by more than {SAME:g} dB from the plain model's on the CPU: nothing was timed")
    for kind, name, work in cells(world, given):
        if time.monotonic() - began > given.max_seconds:
            report.setdefault("left_out", []).append(name)
            continue
        keep(kind, lambda kind=kind, work=work: [*report.get(kind, []), work()])
    if time.monotonic() - began > given.max_seconds:
        write_json(given.out, report)
        print(f"out of time; written: {given.out}")
        return
    # On a CPU envs are computed one by one.
    keep("parts", lambda: parts(world, largest if cuda else 1, given.repeats))
    print(report["parts"], flush=True)
    if not given.no_checks:
        keep("checks", lambda: checks(world, *((8, 8) if cuda else (2, 2))))
        print(report["checks"], flush=True)
    if given.profile:
        for preset in given.presets:
            keep(f"kernels_{preset}", lambda preset=preset: profile(world, largest, preset))
    print(f"written: {given.out}")


if __name__ == "__main__":
    main()
