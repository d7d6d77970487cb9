"""Least context latents for which block-sparse attention is faster than dense in the freedoom world, on this device.

    python benchmarks/freedoom_sparse_crossover.py --threads 2 --out benchmarks/freedoom_sparse_crossover.json

Times `FreedoomWorld.generate` (context pass and four denoising steps of one chunk) with dense attention and with
block-sparse attention (preset ``sparse``: 17.5 % of the history, 30 % in the context pass) for several tile shapes. The
variants take turns in every round; medians, quartiles and the crossover are written. Contexts above the world's budget
of 20 latents show where it would pay.
"""

from __future__ import annotations

import argparse
import platform
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from provenance import provenance

from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.world import ChunkRequest
from li_env.files import write_json
from li_env.worlds.freedoom.spec import SPEC
from li_env.worlds.freedoom.world import FreedoomScene, FreedoomWorld, load

DENSE = AttentionPlan()
SPARSE = AttentionPlan("block_sparse", 0.175, 0.3)
TILES = ((4, 6, 4), (4, 3, 4), (2, 6, 4))


def request(context: int, attention: AttentionPlan, device: torch.device) -> ChunkRequest:
    """Make the request of a chunk after a straight walk, with random latents."""
    generator = torch.Generator().manual_seed(context)
    poses = np.tile(np.eye(4), (context + 4, 1, 1))
    poses[:, 2, 3] = 0.75 * np.arange(context + 4)
    latents = torch.randn(context + 4, *SPEC.latent_shape, generator=generator).to(device)
    plan = ChunkPlan(9, "explore", 0.0, tuple(range(context)), (), SPEC.sigmas, attention, "benchmark")
    return ChunkRequest(
        FreedoomScene(latents[0]), plan, poses[context:], (), latents[:context], poses[:context], latents[context:]
    )


def timed(world: FreedoomWorld, requests: list[ChunkRequest]) -> float:
    """Milliseconds of one call."""
    if world.device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    world.generate(requests)
    if world.device.type == "cuda":
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - began)


def measure(world: FreedoomWorld, context: int, batch: int, repeats: int) -> dict[str, list[float]]:
    """[first quartile, median, third quartile] in milliseconds of every variant, interleaved."""
    variants = {"dense": (DENSE, SPEC.tile_shape)} | {"x".join(map(str, tile)): (SPARSE, tile) for tile in TILES}
    times: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(repeats + 1):
        for name, (attention, tile) in variants.items():
            world.spec = replace(SPEC, tile_shape=tile)
            taken = timed(world, [request(context, attention, world.device)] * batch)
            if turn:  # the first round warms up
                times[name].append(taken)
    return {name: [round(float(q), 3) for q in np.percentile(taken, (25, 50, 75))] for name, taken in times.items()}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--contexts", type=int, nargs="+", default=[4, 8, 12, 16, 20, 32, 48, 64])
    parser.add_argument("--batches", type=int, nargs="+", default=[1])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/freedoom_sparse_crossover.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    world = load(arguments.device)
    facts = provenance()
    rows, crossover = [], {}
    for batch in arguments.batches:
        for context in arguments.contexts:
            row = measure(world, context, batch, arguments.repeats)
            rows.append({"batch": batch, "context": context, "milliseconds": row})
            print(rows[-1], flush=True)
        for tile in rows[-1]["milliseconds"]:
            pays = [
                row["context"]
                for row in rows
                if row["batch"] == batch and row["milliseconds"][tile][1] < row["milliseconds"]["dense"][1]
            ]
            if tile != "dense":
                crossover[f"batch {batch}, tiles {tile}"] = min(pays, default=None)
    cuda = world.device.type == "cuda"
    write_json(
        arguments.out,
        {
            "provenance": facts,
            "device": torch.cuda.get_device_name() if cuda else platform.processor() or platform.machine(),
            "threads": arguments.threads,
            "repeats": arguments.repeats,
            "quartiles": rows,
            "smallest_context_where_sparse_is_faster": crossover,
        },
    )


if __name__ == "__main__":
    main()
