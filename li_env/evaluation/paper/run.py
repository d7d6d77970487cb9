"""Measurement behind the paper's tables and figures, in units that are stored one by one, so that it resumes.

A unit is one repeat of one trajectory under every method; the methods take turns within it, because a shared machine
drifts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from li_env.accel.config import AccelConfig
from li_env.accel.runtime.engine import Engine
from li_env.accel.runtime.machine import device_name, versions
from li_env.accel.world import BaseWorld
from li_env.evaluation.bench.measure import Measured, Work, measure
from li_env.evaluation.bench.quality import Quality
from li_env.evaluation.bench.run import paths_of, rows
from li_env.evaluation.camera_path import CameraPath
from li_env.evaluation.drive import drive
from li_env.evaluation.fixed_motion import FixedMotionWorld
from li_env.evaluation.paper.methods import methods_of
from li_env.evaluation.paper.operators import operator_times
from li_env.evaluation.paper.settings import PaperSettings, image_digest
from li_env.evaluation.paper.steps import step_changes
from li_env.evaluation.part_costs import part_costs
from li_env.evaluation.perceptual import Perceptual
from li_env.files import read_json, write_json
from li_env.validation import shown_path

REPORT, HEAD, UNITS = "paper.json", "settings.json", "units"


def paper(
    world: BaseWorld,
    settings: PaperSettings,
    out: Path,
    perceptual: Sequence[Perceptual] = (),
    images: Sequence[Mapping[str, Any]] = (),
    on_unit: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Measure a world, and go on where an earlier call with equal settings has stopped.

    Args:
        world: the world.
        settings: what to run.
        out: folder of the units.
        perceptual: distances of pictures beside PSNR and SSIM.
        images: reset options with start images, instead of the world's own; see `commanded_paths`.
        on_unit: called after every unit, `units_needed` times.

    Raises:
        ValueError: ``out`` holds units of other settings, or the world has no start frames.
    """
    methods = methods_of(world)
    configs = [*methods.configs.values()]
    game = settings.game and world.ground_truth is not None and not images
    bench = settings.bench(configs)
    _check_head(
        out,
        {
            "world": world.spec.name,
            "device": device_name(world.device),
            "versions": versions(),
            "settings": settings.to_dict(),
            "methods": {label: config.to_dict() for label, config in methods.configs.items()},
            "perceptual": [each.name for each in perceptual],
            "images": image_digest(images),
        },
    )
    paths = paths_of(world, bench, game, starts=images)
    parts: list[list[list[dict[str, Any]]]] = []
    warmed = False
    for repeat in range(settings.repeats):
        parts.append([])
        for name in settings.trajectories:
            own = [path for path in paths if path.trajectory == name]
            file = out / UNITS / f"{repeat}_{name}.json"
            if not file.exists():
                if not warmed:
                    warmed = True
                    _warm_up(world, own[0])
                short = settings.bench(configs, trajectories=(name,), repeats=1)
                # Only the first repeat is rated: the later ones make the same frames.
                made = measure(world, own, short, perceptual=() if repeat else perceptual, warm=False)
                write_json(file, [_stored(each) for each in made])
            parts[-1].append(read_json(file, "unit"))
            on_unit()
    measured = [_joined([[unit[index] for unit in each] for each in parts]) for index in range(len(configs))]
    extra = out / UNITS / "extra.json"
    if not extra.exists():
        write_json(extra, {"steps": step_changes(world, paths), "operators": operator_times(world)})
    return {
        "world": world.spec.name,
        "device": device_name(world.device),
        "versions": versions(),
        "settings": settings.to_dict(),
        "images": len(images),
        "game": game,
        "warmup_chunks": bench.warmup_chunks,
        "table": list(methods.table),
        "refused": methods.refused,
        "cost_model": part_costs(world, [methods.configs[label] for label in methods.table]),
        "rows": rows(world, bench, paths, measured),
        **read_json(extra, "unit"),
    }


def units_needed(settings: PaperSettings) -> int:
    """Count how often `paper` calls ``on_unit``."""
    return settings.repeats * len(settings.trajectories)


def _warm_up(world: BaseWorld, path: CameraPath) -> None:
    """Drive one path once, uncounted: the first calls of a process are slower."""
    drive(Engine(FixedMotionWorld(world), AccelConfig()), [path])


def _check_head(out: Path, head: dict[str, Any]) -> None:
    """Store what the units of a folder belong to, or refuse a folder with units of something else."""
    file = out / HEAD
    (out / UNITS).mkdir(parents=True, exist_ok=True)
    if not file.exists():
        write_json(file, head)
        return
    stored = read_json(file, "out")
    # Compared as JSON, which knows no tuples.
    plain = json.loads(json.dumps(head))
    differing = [key for key in plain if stored.get(key) != plain[key]]
    if differing:
        raise ValueError(
            f"out={shown_path(out)} holds a run with another {', '.join(differing)}; allowed: an empty folder, or "
            "one of an equal run, which goes on"
        )


def _stored(measured: Measured) -> dict[str, Any]:
    return {
        "milliseconds": measured.milliseconds[0].tolist(),
        "work": [[asdict(chunk) for chunk in path] for path in measured.work],
        "decisions": measured.decisions,
        "quality": [asdict(each) for each in measured.quality],
        "degenerated": measured.degenerated,
        "peak_mebibytes": measured.peak_mebibytes,
    }


def _joined(units: Sequence[Sequence[Mapping[str, Any]]]) -> Measured:
    """Join the units of one method, given as repeats of trajectories."""
    peaks = [unit["peak_mebibytes"] for each in units for unit in each if unit["peak_mebibytes"] is not None]
    return Measured(
        milliseconds=np.array([[path for unit in each for path in unit["milliseconds"]] for each in units]),
        work=[[Work(**chunk) for chunk in path] for unit in units[0] for path in unit["work"]],
        decisions=[each for unit in units[0] for each in unit["decisions"]],
        quality=[Quality(**each) for unit in units[0] for each in unit["quality"]],
        degenerated=[each for unit in units[0] for each in unit["degenerated"]],
        peak_mebibytes=max(peaks) if peaks else None,
    )
