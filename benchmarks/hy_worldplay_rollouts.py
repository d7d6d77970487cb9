"""Rollouts of ``hy_worldplay_h200.py``: trajectories through the engine, many chunks, frames from a real decoder."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from hy_worldplay_bench import TRAJECTORIES, Bench
from on_device import peak_gib

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.runtime.engine import Engine
from li_env.worlds.common.stub_codec import StubCodec
from li_env.worlds.hy_worldplay.parts import Parts
from li_env.worlds.hy_worldplay.world import HYWorldPlayWorld


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
