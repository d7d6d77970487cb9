"""Camera paths of the benchmark: every trajectory with every seed."""

from __future__ import annotations

from li_env.accel.config import AccelConfig
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import BaseWorld
from li_env.evaluation.bench.settings import REFERENCE, BenchSettings
from li_env.evaluation.camera_path import CameraPath, fill_chunks
from li_env.evaluation.drive import begin
from li_env.evaluation.standard_paths import commands


def commanded_paths(world: BaseWorld, settings: BenchSettings) -> list[CameraPath]:
    """Make the path of every trajectory with every seed, as commanded.

    Raises:
        ValueError: the world brings no start frames.
    """
    if not len(world.start_views):
        raise ValueError(f"world={world.spec.name!r} has no start frames to begin with; use a world that has some")
    spec = world.spec
    length = spec.first_chunk_latents - 1 + (settings.chunks - 1) * spec.chunk_latents
    starts = [seed % len(world.start_views) for seed in settings.seeds]
    engine = Engine(world, AccelConfig.preset(REFERENCE))
    begun = begin(engine, settings.seeds, [{"start": start} for start in starts])
    paths = []
    for name in settings.trajectories:
        for seed, start, state in zip(settings.seeds, starts, begun, strict=True):
            chunks, _ = fill_chunks(spec, commands(name, length, spec.motion, seed))
            paths.append(CameraPath(name, seed, start, state, tuple(chunks)))
    return paths
