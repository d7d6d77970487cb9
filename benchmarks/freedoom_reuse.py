"""Work shared between chunks in the freedoom world: how much is reused, and what that does to the frames.

    python benchmarks/freedoom_reuse.py --out benchmarks/freedoom_reuse.json

Drives the standing camera and three camera paths of `li-env bench` under ``off``, under gates of ``reuse_context``
and ``reuse_blocks`` on top of ``off``, and under ``all`` for comparison. Work is counted, not timed: tokens that pass a
transformer block, in the context pass and while denoising, after the warm-up, as a share of those of ``off``. PSNR is
pooled over all frames after the warm-up of a path, to the frames of ``off``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from provenance import provenance

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import STILL
from li_env.accel.runtime.chunk import ChunkResult
from li_env.accel.runtime.engine import Engine
from li_env.evaluation.bench.quality import compare
from li_env.evaluation.bench.run import paths_of
from li_env.evaluation.bench.settings import BenchSettings
from li_env.evaluation.drive import drive
from li_env.evaluation.fixed_motion import FixedMotionWorld
from li_env.files import write_json
from li_env.frames import fresh_frames
from li_env.worlds.freedoom.world import load

CONTEXT_GATES, BLOCK_GATES = (0.5, 4.1), (0.2, 0.3, 0.5)
PATHS = ("left-right", "forward-backward", "random")
WARMUP = 3


def passed(made: Sequence[ChunkResult], depth: int) -> int:
    """Count latents times blocks of all chunks after the warm-up; a context pass leaves its last block out."""
    work = 0
    for result in made[WARMUP:]:
        plan = result.plan
        work += (plan.context_latents - len(plan.kept)) * (depth - 1)
        work += (plan.steps * depth - len(plan.reused_blocks or ())) * len(result.latents)
    return work


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunks", type=int, default=7)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    origin = provenance()
    torch.set_num_threads(1)
    plain = load("cpu")
    depth = plain.dynamics.config.depth
    world = FixedMotionWorld(plain, timed=False)
    settings = BenchSettings(
        presets=("off",), trajectories=PATHS, seeds=(0,), chunks=arguments.chunks, batch=1, game=False
    )
    paths = paths_of(plain, settings, False)
    standing = tuple((STILL,) * len(motions) for motions in paths[0].motions)
    paths = [replace(paths[0], trajectory="standing", motions=standing), *paths]
    off = AccelConfig.preset("off")
    configs = {"off": off, "all": AccelConfig.preset("all")}
    configs |= {f"reuse_context={gate}": off.replace(reuse_context=gate) for gate in CONTEXT_GATES}
    configs |= {f"reuse_blocks={gate}": off.replace(reuse_blocks=gate) for gate in BLOCK_GATES}
    for name in ("off", "all"):
        configs[f"{name} with both"] = configs[name].replace(reuse_context=0.5, reuse_blocks=0.3)
    rows = []
    for path in paths:
        reference: list[ChunkResult] = []
        for name, config in configs.items():
            [made] = drive(Engine(world, config), [path])
            reference = reference or made
            frames = [[fresh_frames(chunk) for chunk in each] for each in (made, reference)]
            rows.append(
                {
                    "path": path.trajectory,
                    "method": name,
                    "work": passed(made, depth) / passed(reference, depth),
                    "kept_latents": sum(len(chunk.plan.kept) for chunk in made),
                    "reused_blocks": sum(len(chunk.plan.reused_blocks or ()) for chunk in made),
                    "pooled_psnr": compare(*frames, WARMUP).pooled_psnr,
                }
            )
            print(rows[-1], flush=True)
        write_json(
            arguments.out, {"provenance": origin, "chunks": arguments.chunks, "warmup_chunks": WARMUP, "rows": rows}
        )


if __name__ == "__main__":
    main()
