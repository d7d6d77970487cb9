"""Camera paths of the benchmark: every trajectory with every seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from li_env.accel.config import AccelConfig
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import BaseWorld
from li_env.evaluation.bench.settings import REFERENCE, BenchSettings
from li_env.evaluation.camera_path import CameraPath, fill_chunks
from li_env.evaluation.drive import begin
from li_env.evaluation.standard_paths import commands


def commanded_paths(
    world: BaseWorld, settings: BenchSettings, images: Sequence[Mapping[str, Any]] = ()
) -> list[CameraPath]:
    """Make the path of every trajectory with every seed, as commanded.

    Args:
        world: the world.
        settings: trajectories, seeds and length.
        images: reset options with a start image each, instead of the world's start frames: every trajectory begins
            with every image, under the first seed.

    Raises:
        ValueError: the world brings no start frames.
    """
    if not images and not len(world.start_views):
        raise ValueError(f"world={world.spec.name!r} has no start frames to begin with; use a world that has some")
    spec = world.spec
    length = spec.first_chunk_latents - 1 + (settings.chunks - 1) * spec.chunk_latents
    seeds = settings.seeds[:1] * len(images) if images else settings.seeds
    starts = [-1] * len(images) if images else [seed % len(world.start_views) for seed in seeds]
    engine = Engine(world, AccelConfig.preset(REFERENCE))
    begun = begin(engine, seeds, images or [{"start": start} for start in starts])
    paths = []
    for name in settings.trajectories:
        for seed, start, state in zip(seeds, starts, begun, strict=True):
            chunks, _ = fill_chunks(spec, commands(name, length, spec.motion, seed))
            paths.append(CameraPath(name, seed, start, state, tuple(chunks)))
    return paths
