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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from on_device import Stopwatch, kernel_times, milliseconds, peak_gib, synchronize
from provenance import provenance

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.accel.geometry.trajectory import parse_trajectory
from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.planning.planner import Planner
from li_env.accel.pose_track import PoseTrack
from li_env.accel.runtime.engine import Engine
from li_env.accel.runtime.machine import device_name
from li_env.accel.world import ChunkRequest
from li_env.files import write_json
from li_env.worlds.common.stub_codec import StubCodec
from li_env.worlds.common.transformer_fused import feed_forward
from li_env.worlds.hy_worldplay import world as world_module
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from li_env.worlds.hy_worldplay.parts import Parts, random_parts
from li_env.worlds.hy_worldplay.world import GRID, HYWorldPlayScene, HYWorldPlayWorld

TRAJECTORIES = ("left-31, right-32", "w-31, s-32")
PRESETS = ("off", "context", "cache", "sparse", "all", "paper")
GEMM_CEILING, ATTENTION_CEILING = 690.0, 565.0
"""TFLOP/s of bfloat16 matrix products and of dense attention, measured on an H200."""


@dataclass(frozen=True)
class Bench:
    """A world and how often to repeat."""

    world: HYWorldPlayWorld
    repeats: int
    chunks: int

    @property
    def device(self) -> torch.device:
        return self.world.device

    def scene(self) -> HYWorldPlayScene:
        """Return the scene of a grey image."""
        image = np.full((*self.world.spec.frame_size, 3), 128, dtype=np.uint8)
        return self.world.start([image], ["a street"])[0]

    def poses(self, trajectory: str) -> np.ndarray:
        """Poses [N, 4, 4] along a trajectory."""
        return np.concatenate([np.eye(4)[None], follow(np.eye(4), self.motions(trajectory))])

    def motions(self, trajectory: str) -> tuple[CameraMotion, ...]:
        """Return the motions of ``self.chunks`` whole chunks at most; one motion per latent after the first."""
        return parse_trajectory(trajectory, self.world.spec.motion)[: 4 * self.chunks - 1]

    def plans(self, preset: str, trajectory: str) -> list[ChunkPlan]:
        """Return the plans along a trajectory."""
        poses = self.poses(trajectory)
        planner = Planner(self.world.spec, AccelConfig.preset(preset), self.world.view_overlap)
        starts = range(0, len(poses), 4)
        return planner.plan([PoseTrack(poses[:start]) for start in starts], [poses[s : s + 4] for s in starts])

    def request(self, scene: HYWorldPlayScene, plan: ChunkPlan, poses: np.ndarray) -> ChunkRequest:
        """Make the request of a chunk with random latents."""
        generator = torch.Generator(self.device).manual_seed(0)
        now, chosen = 4 * plan.chunk, list(plan.context)
        shape = self.world.spec.latent_shape
        still = CameraMotion(forward=0.08)
        return ChunkRequest(
            scene=scene,
            plan=plan,
            poses=poses[now : now + 4],
            motions=(still,) * (4 if plan.chunk else 3),
            context=torch.randn(len(chosen), *shape, generator=generator, device=self.device),
            context_poses=poses[chosen],
            noise=torch.randn(4, *shape, generator=generator, device=self.device),
            context_motions=(still,) * len(chosen),
        )


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


def operations(bench: Bench, plan: ChunkPlan, text: int) -> dict[str, float]:
    """TFLOP of a chunk: of linear layers, and of attention for the tiles that it looks at."""
    config, (rows, columns) = bench.world.parts.model.sizes, bench.world.spec.token_grid
    own, history = 4 * rows * columns, len(plan.context) * rows * columns
    width, depth = config.hidden_size, config.depth
    linear = 2 * (5 + 2 * config.mlp_ratio) * width**2 * depth * 1e-12
    pair = 8 * width * 1e-12  # two products in two branches
    dense_blocks = 1 if plan.attention.kind == "block_sparse" and plan.attention.dense_first_block else 0
    decode, context = (
        plan.attention.decode_ratio * (depth - dense_blocks) + dense_blocks,
        plan.attention.context_ratio * (depth - 1 - dense_blocks) + dense_blocks,
    )
    step = pair * own * ((text + own) * depth + history * decode)
    prefill = pair * history * (text * (depth - 1) + history * context)
    return {"linear": linear * (history + plan.steps * own), "attention": prefill + plan.steps * step}


def floor_ms(work: dict[str, float]) -> float:
    """Milliseconds at the measured ceilings."""
    return round(1000 * (work["linear"] / GEMM_CEILING + work["attention"] / ATTENTION_CEILING), 1)


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


def roll_out(bench: Bench, preset: str, trajectory: str, chunks: int | None = None) -> list[dict[str, Any]]:
    """Plan and generate chunks in the engine; the trajectory is repeated as often as needed."""
    motions = list(bench.motions(trajectory))
    while chunks is not None and len(motions) < 4 * chunks - 1:
        motions += [CameraMotion(yaw=90.0), *bench.motions(trajectory)]
    engine = Engine(bench.world, AccelConfig.preset(preset))
    image = np.full((*bench.world.spec.frame_size, 3), 128, dtype=np.uint8)
    (state,) = engine.start([image], ["a street"], [0])
    rows: list[dict[str, Any]] = []
    while len(rows) < (bench.chunks if chunks is None else chunks):
        take = 3 if not rows else 4
        (state,), (result,) = engine.step([state], [motions[:take]])
        motions = motions[take:]
        memory = torch.cuda.memory_allocated() / 2**30 if bench.device.type == "cuda" else 0.0
        rows.append(
            {
                "regime": result.plan.regime,
                "context": len(result.plan.context),
                "steps": result.plan.steps,
                "attention": result.plan.attention.kind,
                "plan_ms": round(result.milliseconds["plan"], 1),
                "generate_ms": round(result.milliseconds["generate"], 1),
                "decode_ms": round(result.milliseconds["decode"], 1),
                "memory_gib": round(memory, 3),
            }
        )
    return rows


def measure_rollouts(bench: Bench) -> list[dict[str, Any]]:
    """Whole trajectories; the plans of all chunks, their times, and sums."""
    rows = []
    for trajectory in TRAJECTORIES:
        for preset in ("off", "all"):
            chunks: list[dict[str, Any]] = []
            memory = peak_gib(bench.device, lambda: chunks.extend(roll_out(bench, preset, trajectory)))  # noqa: B023
            total = {key: round(sum(chunk[key] for chunk in chunks) / 1000, 2) for key in ("plan_ms", "generate_ms")}
            row = {
                "trajectory": trajectory,
                "preset": preset,
                "generate_s": total["generate_ms"],
                "plan_s": total["plan_ms"],
                "frames_per_second": round((16 * len(chunks) - 3) / total["generate_ms"], 2),
                "steady_ms": statistics.median(chunk["generate_ms"] for chunk in chunks[5:] or chunks),
                "peak_gib": memory,
            }
            print(row, flush=True)
            rows.append({**row, "chunks": chunks})
    return rows


def measure_long(bench: Bench, chunks: int) -> dict[str, Any]:
    """Measure time and memory over many chunks."""
    rows = roll_out(bench, "all", TRAJECTORIES[0], chunks)
    later = rows[len(rows) // 4 :]
    halves = later[: len(later) // 2], later[len(later) // 2 :]
    kinds = {(row["context"], row["steps"]) for row in halves[0]} & {
        (row["context"], row["steps"]) for row in halves[1]
    }
    compared = {
        f"{context} context, {steps} steps": [
            round(
                statistics.median(
                    row["generate_ms"] for row in half if (row["context"], row["steps"]) == (context, steps)
                ),
                1,
            )
            for half in halves
        ]
        for context, steps in sorted(kinds)
    }
    return {
        "chunks": chunks,
        "generate_ms_first_and_second_half": compared,
        "plan_ms_first_and_second_half": [statistics.median(row["plan_ms"] for row in half) for half in halves],
        "memory_gib_first_and_second_half": [half[-1]["memory_gib"] for half in halves],
    }


def measure_end_to_end(bench: Bench, tiny: bool) -> dict[str, Any] | str:
    """Measure preset ``all`` with a decoder of the published sizes (random weights) behind the transformer."""
    try:
        from hy_worldplay_vae_h200 import TINY, Autoencoder, Sizes

        from li_env.worlds.hy_worldplay.vae import StreamingVAE
    except ImportError as missing:
        return f"left out: {missing}"
    dtype = torch.float16 if bench.device.type == "cuda" else torch.float32
    with torch.device(bench.device):
        decoder = StreamingVAE(Autoencoder(TINY if tiny else Sizes()).to(dtype))

    class Codec(StubCodec):
        def decode_batch(self, latents: Any, streams: Any) -> Any:
            return decoder.decode_batch(latents, streams)

    old = bench.world.parts
    parts = Parts(old.model, Codec(old.model.sizes.latent_channels, bench.device), old.remember)
    whole = replace(bench, world=HYWorldPlayWorld(parts, bench.device, bench.world.spec.token_grid))
    rows: list[dict[str, Any]] = []
    memory = peak_gib(bench.device, lambda: rows.extend(roll_out(whole, "all", TRAJECTORIES[0])))
    later = rows[5:] or rows
    total = sum(row["plan_ms"] + row["generate_ms"] + row["decode_ms"] for row in later)
    return {
        "frames_per_second": round(16000 * len(later) / total, 2),
        "median_ms": {
            stage: statistics.median(row[stage] for row in later) for stage in ("plan_ms", "generate_ms", "decode_ms")
        },
        "peak_gib": memory,
        "chunks": rows,
    }


def make_bench(arguments: argparse.Namespace) -> Bench:
    """Make a world of the real shape, or a toy one."""
    device = torch.device(arguments.device)
    if arguments.tiny:
        config = HYWorldPlayConfig(4, 64, 2, 3, 2.0, (8, 12, 12), text_width=8, vision_width=8, byt5_widths=(8, 8, 8))
        parts = random_parts(config, device, torch.float32, text_tokens=9)
        return Bench(HYWorldPlayWorld(parts, device, (6, 8)), 1, 8)
    parts = random_parts(HYWorldPlayConfig(), device, torch.bfloat16)
    return Bench(HYWorldPlayWorld(parts, device, GRID), arguments.repeats, 16)


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
