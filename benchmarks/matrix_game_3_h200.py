"""The Matrix-Game-3.0 transformer at its real shape with random weights: time, memory and where both go.

    PYTHONPATH=. python benchmarks/matrix_game_3_h200.py --device cuda --out benchmarks/matrix_game_3_h200.json

Speed does not depend on the values of weights and latents. One process measures, in this order:

- ``first_use``: the first start and the first clip of each kind, with compilation, separate from everything else;
- ``original``: the steady clip (5 memory, 4 past, 10 new latents; 40 frames) as the original computes it: filled up to
  20 latents, camera, actions and text in every step; with all products in bfloat16, and with float32 where it has them;
- ``steady``: clips under every preset with the plans that the planner makes on two trajectories, going and coming back;
  stage times by events on the device, peak memory of transformer and caches, frames per second without decoding, and
  the floor: operations (docs/spec/matrix_game_3.md, section 11, without what is not computed) over the
  measured ceilings of an H200;
- ``ratios``: ``all`` against ``off`` and against the original, and what was asked for;
- ``kernels``: time by kernel class of one clip coming back, ``off`` and ``all``;
- ``rollouts``: eight clips through the engine, ``off``, ``all`` and ``paper``, planning included.

``--tiny`` runs all of it in seconds on a CPU with a toy model.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from ceilings import ATTENTION_CEILING, GEMM_CEILING, floor_ms
from on_device import Stopwatch, kernel_times, milliseconds, peak_gib, synchronize
from provenance import provenance
from reference.padded import padded_velocity

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion, motion_table
from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.planning.planner import Planner
from li_env.accel.pose_track import PoseTrack
from li_env.accel.runtime.engine import Engine
from li_env.accel.runtime.machine import device_name
from li_env.accel.world import ChunkRequest
from li_env.files import write_json
from li_env.worlds.matrix_game_3.build import random_world
from li_env.worlds.matrix_game_3.config import PUBLISHED, ActionConfig, MatrixGame3Config
from li_env.worlds.matrix_game_3.layout import ClipShape, token_layout
from li_env.worlds.matrix_game_3.model import ClipConditions
from li_env.worlds.matrix_game_3.sampler import timestep_of
from li_env.worlds.matrix_game_3.world import GRID, MatrixGame3Scene, MatrixGame3World

CLIPS = 8
PRESETS = ("off", "context", "cache", "sparse", "all", "paper")
ASKED = {"all against off": 1.9, "all against the original": 2.2, "clip coming back, seconds": 1.6, "aim, seconds": 1.0}

TOY = MatrixGame3Config(
    in_dim=48, out_dim=48, dim=64, ffn_dim=128, freq_dim=32, num_heads=2, num_layers=2, text_len=12, text_dim=32,
    action_config=ActionConfig((0,), 2, 8, 6, 32, 2, 32, (4, 6, 6)),
)  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """A world and how often to repeat."""

    world: MatrixGame3World
    repeats: int

    @property
    def device(self) -> torch.device:
        return self.world.device

    def scene(self) -> MatrixGame3Scene:
        """Return the scene of a grey image."""
        image = np.full((*self.world.spec.frame_size, 3), 128, dtype=np.uint8)
        with torch.inference_mode():
            return self.world.start([image], ["a street"])[0]

    def clips(self, trajectory: str) -> list[tuple[CameraMotion, ...]]:
        """Return the motions of every chunk: the first half outward, the other half back."""
        limits = self.world.spec.motion
        out = (
            CameraMotion(yaw=-limits.rotation)
            if trajectory == "left-right"
            else CameraMotion(forward=limits.translation)
        )
        counts = [self.world.spec.latents_in_chunk(chunk) - (chunk == 0) for chunk in range(CLIPS)]
        return [(out if chunk < CLIPS // 2 else out.scaled(-1),) * count for chunk, count in enumerate(counts)]

    def poses(self, trajectory: str) -> np.ndarray:
        """Poses of all latents."""
        motions = [motion for clip in self.clips(trajectory) for motion in clip]
        return np.concatenate([np.eye(4)[None], self.world.follow_many(np.eye(4)[None], motion_table([motions]))[0]])

    def plans(self, preset: str, trajectory: str) -> list[ChunkPlan]:
        """Return the plans along a trajectory."""
        poses, spec = self.poses(trajectory), self.world.spec
        ends = np.cumsum([spec.latents_in_chunk(chunk) for chunk in range(CLIPS)])
        starts = [0, *ends[:-1].tolist()]
        tracks, coming = [PoseTrack(poses[:start]) for start in starts], np.split(poses, ends[:-1])
        return Planner(spec, AccelConfig.preset(preset)).plan(tracks, coming)

    def request(self, scene: MatrixGame3Scene, plan: ChunkPlan, trajectory: str) -> ChunkRequest:
        """Make the request of a later chunk with random latents."""
        generator = torch.Generator(self.device).manual_seed(0)
        poses, spec, chosen = self.poses(trajectory), self.world.spec, list(plan.context)
        start = spec.first_chunk_latents + spec.chunk_latents * (plan.chunk - 1)
        motions = self.clips(trajectory)[plan.chunk]
        context = torch.randn(len(chosen), *spec.latent_shape, generator=generator, device=self.device)
        return ChunkRequest(
            scene=scene,
            plan=plan,
            poses=poses[start : start + spec.chunk_latents],
            motions=motions,
            context=context.to(self.world.model.dtype),
            context_poses=poses[chosen],
            noise=torch.randn(spec.chunk_latents, *spec.latent_shape, generator=generator, device=self.device),
            context_motions=(motions[0],) * len(chosen),
        )


@contextmanager
def watched(world: MatrixGame3World) -> Iterator[Stopwatch]:
    """Time preparation and model calls inside the block."""
    watch, model = Stopwatch(world.device), world.model
    prepare, step = watch.wrap("prepare", model.prepare), watch.wrap("step", model.forward)
    with mock.patch.object(model, "prepare", prepare), mock.patch.object(model, "forward", step):
        yield watch


def clip_times(bench: Bench, request: ChunkRequest) -> dict[str, float]:
    """Return the medians of whole chunks and their stages."""
    with watched(bench.world) as watch, torch.inference_mode():
        clip = milliseconds(bench.device, lambda: bench.world.generate([request]), bench.repeats)
        stages = watch.read()
        with mock.patch.object(bench.world.model, "prepare", wraps=bench.world.model.prepare) as prepare:
            bench.world.generate([request])
    frames = bench.world.spec.step_frames
    return {
        "clip_ms": round(clip, 1),
        "prepare_ms": round(statistics.median(stages["prepare"]), 1),
        "step_ms": round(statistics.median(stages["step"]), 1),
        "frames_per_second": round(1000 * frames / clip, 1),
        "views": len(prepare.call_args.args[0].camera),
    }


def operations(world: MatrixGame3World, plan: ChunkPlan, views: int) -> dict[str, float]:
    """Count the TFLOP of a chunk: of linear layers, and of attention for the tiles that it keeps.

    ``views`` is the number of different relative poses, for which camera scales and shifts are made.
    """
    config, action, (rows, columns) = world.model.config, world.model.config.action_config, world.spec.token_grid
    new = world.spec.chunk_latents * rows * columns
    tokens = (len(plan.slots or plan.memory) + len(plan.temporal)) * rows * columns + new
    width, depth = config.dim, config.num_layers
    full = tokens * (depth - 1) + new  # the last block goes on with the new tokens alone
    block = full * (4 * width**2 + 2 * width * config.ffn_dim) + 2 * width**2 * tokens * depth
    mouse, keys = action.mouse_hidden_dim, action.keyboard_hidden_dim
    acts = len(action.blocks) * tokens * (2 * width * mouse + 4 * mouse**2 + 2 * width * keys)
    cameras = views * rows * columns * (4 * width**2 * depth + 2 * width**2 + 6144 * width)
    cross = 2 * full * config.text_len * width
    sparse = plan.attention.kind == "block_sparse"
    dense = 0 if not sparse else 1 if plan.attention.dense_first_block else 0
    share = (depth - dense) * plan.attention.decode_ratio + dense if sparse else depth
    own = 2 * tokens * width * (tokens * (depth - 1) + new) / depth * share
    teras = 2e-12
    return {
        "linear": teras * (plan.steps * (block + acts) + cameras),
        "attention": teras * plan.steps * (own + cross),
    }


def measure_original(bench: Bench) -> list[dict[str, Any]]:
    """Measure the steady chunk of `off` as the original computes it."""
    world, spec = bench.world, bench.world.spec
    model, shape = world.model, ClipShape(spec.token_grid, 5, 4, spec.chunk_latents)
    generator = torch.Generator(bench.device).manual_seed(0)

    def random(*sizes: int) -> torch.Tensor:
        return torch.randn(*sizes, generator=generator, device=bench.device).to(model.dtype)

    layout = token_layout(shape, shape.memory, AttentionPlan(), spec.tile_shape, 1, bench.device)
    frames, tokens = 4 * (shape.given + shape.new), spec.token_grid[0] * spec.token_grid[1]
    latents = torch.tensor([[10, 10, 10, 10, 1, *range(61, 61 + shape.given + shape.new)]])
    camera, views = random(shape.latents, tokens, 6144), torch.arange(shape.latents)[None]
    conditions = ClipConditions(latents, camera, views, random(1, frames, 2), random(1, frames, 6), ())
    x, text = random(1, shape.latents, *spec.latent_shape), random(1, model.config.text_len, model.config.text_dim)
    rows = []
    for products in ("bfloat16", "float32 where the original has it"):

        def clip(wide: bool = products != "bfloat16") -> None:
            for sigma in spec.sigmas[:-1]:
                padded_velocity(model, x, timestep_of(sigma, model.dtype), conditions, text, layout, wide=wide)

        with torch.inference_mode():
            taken = milliseconds(bench.device, clip, max(1, bench.repeats - 1))
            memory = peak_gib(bench.device, clip)
        rows.append({"products": products, "clip_ms": round(taken, 1), "peak_gib": memory})
        print(rows[-1], flush=True)
    return rows


def measure_steady(bench: Bench) -> list[dict[str, Any]]:
    """Every preset going out and coming back, as planned; equal work is measured once per preset."""
    scene, rows = bench.scene(), []
    for preset in PRESETS:
        done = set()
        for trajectory in ("left-right", "forward-backward"):
            plans = bench.plans(preset, trajectory)
            for where, plan in (("going", plans[CLIPS // 2 - 1]), ("coming back", plans[-2])):
                kind = (len(plan.slots or plan.memory), plan.steps, plan.attention)
                if kind in done:
                    continue
                done.add(kind)
                request = bench.request(scene, plan, trajectory)
                times = clip_times(bench, request)
                with torch.inference_mode():
                    memory = peak_gib(bench.device, lambda request=request: bench.world.generate([request]))  # type: ignore[misc]
                row = {
                    "preset": preset,
                    "trajectory": trajectory,
                    "where": where,
                    "regime": plan.regime,
                    "memory": len(plan.slots or plan.memory),
                    "steps": plan.steps,
                    "attention": plan.attention.kind,
                    **times,
                    "floor_ms": floor_ms(operations(bench.world, plan, int(times["views"]))),
                    "peak_gib": memory,
                }
                rows.append(row)
                print(row, flush=True)
    return rows


def ratios(original: list[dict[str, Any]], steady: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the speed-ups of the preset `all`; the plain model does the same work in every steady chunk."""
    off = max(row["clip_ms"] for row in steady if row["preset"] == "off")
    padded = original[0]["clip_ms"]
    mine = [row for row in steady if row["preset"] == "all"]
    result: dict[str, Any] = {"asked": ASKED, "original against off": round(padded / off, 2)}
    for row in mine:
        name = f"{row['regime']}, {row['memory']} memory latents, {row['steps']} steps"
        result[name] = {
            "seconds": round(row["clip_ms"] / 1000, 3),
            "against off": round(off / row["clip_ms"], 2),
            "against the original": round(padded / row["clip_ms"], 2),
            "against the original with float32": round(original[1]["clip_ms"] / row["clip_ms"], 2),
        }
    print(result, flush=True)
    return result


def measure_kernels(bench: Bench, preset: str) -> dict[str, float]:
    """Measure milliseconds by kernel class of one revisit chunk."""
    plan = bench.plans(preset, "left-right")[-2]
    request = bench.request(bench.scene(), plan, "left-right")
    with torch.inference_mode():
        return kernel_times(bench.device, lambda: bench.world.generate([request]))


def measure_rollouts(bench: Bench) -> list[dict[str, Any]]:
    """Run eight chunks in the engine; sum over all of them, the first one with its 57 frames included."""
    rows = []
    for trajectory in ("left-right", "forward-backward"):
        for preset in ("off", "all", "paper"):
            clips: list[dict[str, Any]] = []

            def run(trajectory: str = trajectory, preset: str = preset, clips: list[dict[str, Any]] = clips) -> None:
                engine = Engine(bench.world, AccelConfig.preset(preset))
                image = np.full((*bench.world.spec.frame_size, 3), 128, dtype=np.uint8)
                (state,) = engine.start([image], ["a street"], [0])
                for motions in bench.clips(trajectory):
                    (state,), (result,) = engine.step([state], [motions])
                    plan = result.plan
                    clips.append(
                        {
                            "regime": plan.regime,
                            "memory": len(plan.slots or plan.memory),
                            "steps": plan.steps,
                            "attention": plan.attention.kind,
                            "plan_ms": round(result.milliseconds["plan"], 1),
                            "generate_ms": round(result.milliseconds["generate"], 1),
                        }
                    )

            memory = peak_gib(bench.device, run)
            seconds = sum(clip["generate_ms"] for clip in clips) / 1000
            row = {
                "trajectory": trajectory,
                "preset": preset,
                "generate_s": round(seconds, 2),
                "plan_s": round(sum(clip["plan_ms"] for clip in clips) / 1000, 3),
                "peak_gib": memory,
            }
            print(row, flush=True)
            rows.append({**row, "clips": clips})
    return rows


def first_use(bench: Bench) -> dict[str, float]:
    """Time the first start and the first chunks [s], which compile what is needed."""
    began = time.perf_counter()
    scene = bench.scene()
    synchronize(bench.device)
    times = {"start": round(time.perf_counter() - began, 2)}
    for preset in ("off", "all"):
        request = bench.request(scene, bench.plans(preset, "left-right")[-2], "left-right")
        began = time.perf_counter()
        with torch.inference_mode():
            bench.world.generate([request])
        synchronize(bench.device)
        times[preset] = round(time.perf_counter() - began, 2)
    print(times, flush=True)
    return times


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true", help="a toy model, for a CPU")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args(argv)
    device = torch.device(arguments.device)
    config, grid = (TOY, (4, 8)) if arguments.tiny else (PUBLISHED, GRID)
    bench = Bench(random_world(device, config, grid), 1 if arguments.tiny else arguments.repeats)
    weights = sum(p.numel() * p.element_size() for p in bench.world.model.parameters()) / 2**30
    report: dict[str, Any] = {
        "provenance": provenance(),
        "device": device_name(device),
        "shape": "toy" if arguments.tiny else "published, 704 x 1280, 5 memory + 4 past + 10 new latents, 40 frames",
        "weights_gib": round(weights, 3),
        "ceilings_tflops": {"matrix products": GEMM_CEILING, "attention": ATTENTION_CEILING},
    }
    parts: dict[str, Callable[[], Any]] = {
        "first_use": lambda: first_use(bench),
        "original": lambda: measure_original(bench),
        "steady": lambda: measure_steady(bench),
        "ratios": lambda: ratios(report["original"], report["steady"]),
        "kernels": lambda: {preset: measure_kernels(bench, preset) for preset in ("off", "all")},
        "rollouts": lambda: measure_rollouts(bench),
    }
    for name, measure in parts.items():
        began = time.perf_counter()
        report[name] = measure()
        print(f"{name}: {time.perf_counter() - began:.1f} s", flush=True)
        if arguments.out:
            write_json(arguments.out, report)
    return report


if __name__ == "__main__":
    main()
