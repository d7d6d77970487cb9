"""Benchmark of one world as a JSON-ready report, and its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from li_env.accel.runtime.engine import Engine
from li_env.accel.runtime.machine import device_name, versions
from li_env.accel.world import BaseWorld
from li_env.evaluation.bench.measure import Measured, measure
from li_env.evaluation.bench.paths import commanded_paths
from li_env.evaluation.bench.plots import changes, is_of, write_sweep
from li_env.evaluation.bench.real_paths import played_paths
from li_env.evaluation.bench.settings import BenchSettings
from li_env.evaluation.bench.summary import row
from li_env.evaluation.camera_path import CameraPath
from li_env.evaluation.drive import batches, drive
from li_env.evaluation.part_costs import part_costs
from li_env.files import atomic_write, write_json
from li_env.metrics import PSNR_OF_EQUAL_FRAMES

REPORT = "bench.json"
"""Name of the report's file."""

EVERY = "all trajectories"
"""Value of ``trajectory`` in the rows over all trajectories."""


def benchmark(world: BaseWorld, settings: BenchSettings, on_chunk: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Measure a world.

    Args:
        world: the world to measure.
        settings: what to run.
        on_chunk: called after every chunk of a batch, `steps_needed` times.

    Raises:
        ValueError: the world has no start frames.
        MissingExtraError: the world has a game and ViZDoom is not installed.
    """
    game = settings.game and world.ground_truth is not None
    paths = paths_of(world, settings, game, on_chunk)
    measured = measure(world, paths, settings, on_chunk)
    found = rows(world, settings, paths, measured)
    return {
        "world": world.spec.name,
        "path": "the game's collision" if game else "what the plain model's motion limits leave of the commands",
        "warmup_chunks": settings.warmup_chunks,
        "note": (
            f"means over frames after the first {settings.warmup_chunks} chunks; equal frames count as "
            f"{PSNR_OF_EQUAL_FRAMES:g} dB; pooled_psnr: of the mean squared error over all frames of a row; times: "
            "median, least and most over interleaved repeats, in milliseconds per chunk and rollout, all chunks; one "
            "rollout of every preset before them is not counted"
        ),
        "rows": found,
        "sweeps": [
            {
                "preset": sweep.config.name,
                "key": sweep.key,
                "values": list(sweep.values),
                "changes": changes([row for row in found if row["trajectory"] == EVERY and is_of(row, sweep)]),
            }
            for sweep in settings.sweeps
        ],
        "cost_model": part_costs(world, [variant.config for variant in settings.variants if variant.key is None]),
        "device": device_name(world.device),
        "versions": versions(),
    }


def steps_needed(world: BaseWorld, settings: BenchSettings) -> int:
    """Count how often `benchmark` calls ``on_chunk``."""
    groups, variants = len(batches(commanded_paths(world, settings), settings.batch)), len(settings.variants)
    driven = 0 if settings.game and world.ground_truth is not None else groups
    return settings.chunks * (driven + variants + settings.repeats * variants * groups)


def paths_of(
    world: BaseWorld,
    settings: BenchSettings,
    game: bool,
    on_chunk: Callable[[], None] = lambda: None,
    starts: Sequence[Mapping[str, Any]] = (),
) -> list[CameraPath]:
    """Make every path with its realised motions: those of the game, or of one rollout of the plain model.

    ``starts`` are those of `commanded_paths`.
    """
    paths = commanded_paths(world, settings, starts)
    if game:
        return played_paths(world, paths)
    engine = Engine(world, settings.variants[0].config)
    followed = []
    for group in batches(paths, settings.batch):
        for path, chunks in zip(group, drive(engine, group, on_chunk), strict=True):
            followed.append(path.along([motion for chunk in chunks for motion in chunk.motions], world))
    return followed


def write_report(reports: Sequence[dict[str, Any]], settings: BenchSettings, command: str, out: Path) -> list[str]:
    """Write `REPORT` and one plot per sweep into ``out``; each appears whole or not at all. Returns the file names."""
    names = []
    for sweep in settings.sweeps:
        names.append(sweep.file)
        with atomic_write(out / names[-1]) as file:
            write_sweep([entry for report in reports for entry in report["rows"]], sweep, EVERY, file)
    write_json(out / REPORT, {"command": command, "settings": settings.to_dict(), "worlds": list(reports)})
    return [REPORT, *names]


def rows(
    world: BaseWorld, settings: BenchSettings, paths: Sequence[CameraPath], measured: Sequence[Measured]
) -> list[dict[str, Any]]:
    """Summarise every variant over all paths, then over the paths of each trajectory."""
    groups = {EVERY: list(range(len(paths)))}
    for name in settings.trajectories:
        groups[name] = [index for index, path in enumerate(paths) if path.trajectory == name]
    return [
        row(world.spec, variant, own, measured[0], indices, trajectory, settings.warmup_chunks)
        for trajectory, indices in groups.items()
        for variant, own in zip(settings.variants, measured, strict=True)
    ]
