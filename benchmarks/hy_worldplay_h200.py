"""The HY-WorldPlay transformer at its real shape with random weights: time, memory and where both go.

    PYTHONPATH=. python benchmarks/hy_worldplay_h200.py --device cuda --out benchmarks/hy_worldplay_h200.json

Speed does not depend on the values of weights and latents. One process measures, in this order:

- ``first_use``: the first start, with compilation and library start-up, separate from everything else;
- ``calls``: context pass and denoising call for 4 to 20 context latents, dense and block sparse;
- ``steady``: whole chunks under every preset, in both regimes, with the plans that the planner makes on the two
  trajectories; stage times by events on the device, peak memory of transformer and caches, and the floor: operations
  (docs/spec/hy_worldplay.md, section 8) over the measured ceilings of an H200;
- ``kernels``: time by kernel class of one chunk of ``off`` and one of ``all``;
- ``feed_forward``: a layer with the activation inside its first product and separate;
- ``rollouts``: 253 frames through the engine for ``off`` and ``all``;
- ``long``: many chunks of ``all``: time and memory must not grow;
- ``end_to_end``: frames per second of ``all`` with a decoder of the published sizes (needs einops); decoding alone is
  measured by ``hy_worldplay_vae_h200.py``.

``--only`` measures some of them and keeps the other parts of OUT as they are; ``provenance`` says of every part what it
comes from. ``--only calls steady``, all presets in one run, takes about three minutes.

``--tiny`` runs all of it in seconds on a CPU with a toy model.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from ceilings import ATTENTION_CEILING, GEMM_CEILING, floor_ms
from hy_worldplay_bench import TRAJECTORIES, Bench, make_bench, operations
from hy_worldplay_rollouts import measure_end_to_end, measure_long, measure_rollouts
from on_device import Stopwatch, kernel_times, milliseconds, peak_gib, synchronize
from provenance import provenance

from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.runtime.machine import device_name
from li_env.accel.world import ChunkRequest
from li_env.files import write_json
from li_env.worlds.common.transformer_fused import feed_forward
from li_env.worlds.hy_worldplay import world as world_module

PRESETS = ("off", "context", "cache", "sparse", "all", "paper")


@contextmanager
def watched(device: torch.device) -> Iterator[Stopwatch]:
    """Time the world's context passes and denoising calls inside the block."""
    watch = Stopwatch(device)
    context, denoise = (watch.wrap(name, getattr(world_module, name)) for name in ("context_pass", "denoise"))
    with mock.patch.multiple(world_module, context_pass=context, denoise=denoise), torch.inference_mode():
        yield watch


def chunk_times(bench: Bench, requests: list[ChunkRequest]) -> dict[str, Any]:
    """Medians of whole chunks and their stages."""
    wholes, contexts, steps = [], [], []
    with watched(bench.device) as watch:
        for turn in range(bench.repeats + 1):
            synchronize(bench.device)
            began = time.perf_counter()
            bench.world.generate(requests)
            synchronize(bench.device)
            taken, stages = 1000 * (time.perf_counter() - began), watch.read()
            if turn:
                wholes.append(taken)
                contexts.append(sum(stages.get("context_pass", [0.0])))
                steps.append(statistics.mean(stages["denoise"]))
    return {
        "chunk_ms": round(statistics.median(wholes), 1),
        "context_ms": round(statistics.median(contexts), 1),
        "step_ms": round(statistics.median(steps), 1),
    }


def measure_calls(bench: Bench, contexts: list[int]) -> list[dict[str, Any]]:
    """Measure dense and block-sparse chunks by number of context latents."""
    scene, poses, rows = bench.scene(), bench.poses(TRAJECTORIES[1]), []
    for count in contexts:
        chunk = count // 4
        for name, attention in (("dense", AttentionPlan()), ("sparse", AttentionPlan("block_sparse", 0.175, 0.3))):
            sigmas = bench.world.spec.sigmas
            plan = ChunkPlan(chunk, "explore", 0.0, tuple(range(count)), (), sigmas, attention, "benchmark")
            request = bench.request(scene, plan, poses)
            times = chunk_times(bench, [request])
            work = operations(bench, plan, len(scene.text))
            memory = peak_gib(bench.device, lambda request=request: bench.world.generate([request]))  # type: ignore[misc]
            floor = floor_ms(work)
            rows.append({"context": count, "attention": name, **times, "floor_ms": floor, "peak_gib": memory})
            print(rows[-1], flush=True)
    return rows


def measure_steady(bench: Bench) -> list[dict[str, Any]]:
    """Measure every preset on a chunk of the outward walk and one of the return; equal work is measured once."""
    scene, rows = bench.scene(), []
    for preset in PRESETS:
        done = set()
        for trajectory in TRAJECTORIES:
            poses, plans = bench.poses(trajectory), bench.plans(preset, trajectory)
            half = len(plans) // 2
            for where, plan in (("going", plans[half - 1]), ("coming back", plans[-2])):
                kind = (len(plan.context), plan.steps, plan.attention)
                if kind in done:
                    continue
                done.add(kind)
                request = bench.request(scene, plan, poses)
                times = chunk_times(bench, [request])
                memory = peak_gib(bench.device, lambda request=request: bench.world.generate([request]))  # type: ignore[misc]
                row = {
                    "preset": preset,
                    "trajectory": trajectory,
                    "where": where,
                    "regime": plan.regime,
                    "context": len(plan.context),
                    "steps": plan.steps,
                    "attention": plan.attention.kind,
                    **times,
                    "floor_ms": floor_ms(operations(bench, plan, len(scene.text))),
                    "peak_gib": memory,
                }
                rows.append(row)
                print(row, flush=True)
    return rows


def measure_kernels(bench: Bench, preset: str) -> dict[str, float]:
    """Milliseconds by kernel class of one chunk near the end of the second trajectory."""
    plan = bench.plans(preset, TRAJECTORIES[1])[-2]
    request = bench.request(bench.scene(), plan, bench.poses(TRAJECTORIES[1]))
    with torch.inference_mode():
        return kernel_times(bench.device, lambda: bench.world.generate([request]))


def measure_feed_forward(bench: Bench) -> dict[str, list[float]]:
    """Time one feed-forward layer [ms], activation inside the first product and separate, by number of tokens."""
    layers = bench.world.parts.model.double_blocks[0].img_mlp
    rows, columns = bench.world.spec.token_grid
    times = {}
    for latents in (4, 20):
        y = torch.randn(1, latents * rows * columns, layers.fc1.in_features, device=bench.device)
        y = y.to(layers.fc1.weight.dtype)
        taken = []
        for function in (lambda y=y: feed_forward(layers, y), lambda y=y: layers(y)):
            with torch.inference_mode():
                taken.append(milliseconds(bench.device, function, 20))
        times[str(y.shape[1])] = taken
    return times


def first_use(bench: Bench) -> dict[str, float]:
    """Time the first start [s], which warms up, and the first whole chunk of each regime after it."""
    began = time.perf_counter()
    scene, poses = bench.scene(), bench.poses(TRAJECTORIES[0])
    synchronize(bench.device)
    times = {"start": round(time.perf_counter() - began, 2)}
    for preset in ("off", "all"):
        plan = bench.plans(preset, TRAJECTORIES[0])[-1]
        began = time.perf_counter()
        with torch.inference_mode():
            bench.world.generate([bench.request(scene, plan, poses)])
        synchronize(bench.device)
        times[preset] = round(time.perf_counter() - began, 2)
    return times


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true", help="a toy model, for a CPU")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--long", type=int, default=64, help="chunks of the long run; 0 leaves it out")
    parser.add_argument("--only", nargs="+", help="measure these parts; OUT keeps the others")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(argv)
    facts, old = provenance(), {}
    if arguments.only and arguments.out and arguments.out.exists():
        old = json.loads(arguments.out.read_text(encoding="utf-8"))
        old.pop("note", None)  # about which run a part is from, which provenance tells
    bench = make_bench(arguments)
    weights = sum(p.numel() * p.element_size() for p in bench.world.parts.model.vision_parameters()) / 2**30
    contexts = [4, 8] if arguments.tiny else [4, 8, 12, 20]
    parts: dict[str, Callable[[], Any]] = {
        "first_use": lambda: first_use(bench),
        "calls": lambda: measure_calls(bench, contexts),
        "steady": lambda: measure_steady(bench),
        "feed_forward": lambda: measure_feed_forward(bench),
        "kernels": lambda: {preset: measure_kernels(bench, preset) for preset in ("off", "all")},
        "rollouts": lambda: measure_rollouts(bench),
        "long": lambda: measure_long(bench, arguments.long) if arguments.long else "left out",
        "end_to_end": lambda: measure_end_to_end(bench, arguments.tiny),
    }
    unknown = sorted(set(arguments.only or ()) - set(parts))
    if unknown:
        parser.error(f"--only {' '.join(unknown)} is not known; use any of {', '.join(parts)}")
    report: dict[str, Any] = {
        **old,
        "provenance": dict(old.get("provenance", {})),
        "device": device_name(bench.device),
        "shape": "toy" if arguments.tiny else "published, 480 x 832",
        "weights_gib": round(weights, 3),
        "ceilings_tflops": {"matrix products": GEMM_CEILING, "attention": ATTENTION_CEILING},
    }
    for name, measure in parts.items():
        if arguments.only is None or name in arguments.only:
            began = time.perf_counter()
            report[name], report["provenance"][name] = measure(), facts
            print(f"{name}: {time.perf_counter() - began:.1f} s", flush=True)
            if arguments.out:
                write_json(arguments.out, report)
    return report


if __name__ == "__main__":
    main()
