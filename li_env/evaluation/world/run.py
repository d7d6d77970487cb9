"""Whole measurement of a world against the game, part by part, written after every unit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from li_env.accel.runtime.machine import device_name, versions
from li_env.accel.world import BaseWorld
from li_env.errors import MissingExtraError
from li_env.evaluation.fidelity.run import REPORT as FIDELITY_REPORT
from li_env.evaluation.fidelity.run import evaluate_world
from li_env.evaluation.fidelity.settings import CHUNK
from li_env.evaluation.world import (
    actions,
    autoencoder,
    collapse,
    loops,
    next_frame,
    paths,
    steps,
    walks,
    walls,
)
from li_env.evaluation.world.game import Game
from li_env.evaluation.world.measurement import Measurement, Part, Unit
from li_env.evaluation.world.origin import commit
from li_env.evaluation.world.pictures import ShownFrames, write_plot
from li_env.evaluation.world.settings import WorldSettings
from li_env.evaluation.world.store import Store, unit_words
from li_env.evaluation.world.targets import targets_by_preset
from li_env.files import file_sha256
from li_env.worlds.freedoom.efficientnet import FeatureNet, load_features
from li_env.worlds.freedoom.weights import MANIFEST
from li_env.worlds.registry import load_world

REPORT, PLOT, PICTURE = "freedoom_world.json", "freedoom_world.png", "freedoom_world_side_by_side.png"
FRAMES = "freedoom_world_frames.safetensors"

OWN: Mapping[str, Part] = {
    "autoencoder": autoencoder.units,
    "walks": walks.units,
    "next": next_frame.units,
    "loops": loops.units,
    "paths": paths.units,
    "walls": walls.units,
    "actions": actions.units,
    "collapse": collapse.units,
    "steps": steps.units,
}
"""Parts that this package measures itself, by name; ``fidelity`` and ``agents`` come from elsewhere."""

NOTE = (
    "Maps are random maps of the split in the settings, never trained on; maps of the split test are never used for a "
    "decision. The camera follows the game's own poses, except in paths, walls and agents. mean and std are over "
    "trajectories (each one's own mean first), n is their number. Chunk 1 holds the start frame, which is not scored. "
    "scan is the metres between the spots of a scan, null without one."
)


def measure_world(
    settings: WorldSettings,
    out: Path,
    more: Mapping[str, Part] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Measure a freedoom world; write `REPORT`, `PLOT` and `PICTURE` into ``out``.

    The report is written after every unit. Units that an earlier run of equal settings has measured are not measured
    again. Progress goes to stderr.

    Args:
        settings: what to measure.
        out: folder of the files.
        more: parts that live above this package, by name.
        say: takes one line about what is left out.

    Returns:
        the content of the report: ``note``, ``command``, ``commit``, ``date``, ``device``, ``versions``, ``settings``,
        ``identity``, ``missing`` (units that the time did not allow), ``targets`` by preset, and ``parts``.

    Raises:
        ValueError: missing or damaged weights.
        ImportError: no ViZDoom.
    """
    began = time.perf_counter()
    world = load_world(settings.world, settings.device, settings.weights)
    store = Store(out / REPORT, _head(settings, world))
    if store.anew:
        say(f"{REPORT} is of other settings and begins anew: {', '.join(store.anew)}")
    frames = ShownFrames(out / FRAMES, CHUNK * settings.chunks, not store.anew)
    game = Game(settings)
    try:
        measurement = Measurement(world, settings, game, _feature_net(settings, world, say))
        parts: dict[str, Part] = {**OWN, "fidelity": partial(_fidelity, out=out), **(more or {})}
        missing = _run(measurement, {name: parts[name] for name in settings.parts if name in parts}, store, frames)
    finally:
        game.close()
    report = store.write({"missing": missing})
    report = store.write(
        {
            "missing": missing,
            "seconds": round(time.perf_counter() - began, 1),
            "targets": targets_by_preset(report),
        }
    )
    write_plot(report, out / PLOT)
    if frames.draw(out / PICTURE) and not missing:
        frames.forget()
    return report


def _run(measurement: Measurement, parts: Mapping[str, Part], store: Store, frames: ShownFrames) -> list[str]:
    """Run the units that are not stored until the time is up; return the names of those that are left."""
    limit, began = measurement.settings.max_seconds, time.perf_counter()
    waiting = [
        (name, unit) for name, part in parts.items() for unit in part(measurement) if not store.has(name, unit.labels)
    ]
    missing = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(waiting))
        for name, unit in waiting:
            words = unit_words(name, unit.labels)
            if limit is not None and time.perf_counter() - began > limit:
                missing.append(words)
                continue
            progress.update(task, description=words)
            start = time.perf_counter()
            row = unit.run()
            frames.add(measurement.pictures)
            measurement.pictures.clear()
            store.add(name, unit.labels, row, time.perf_counter() - start)
            progress.advance(task)
    return missing


def _head(settings: WorldSettings, world: BaseWorld) -> dict[str, Any]:
    manifest = (settings.size.data if settings.weights is None else settings.weights) / MANIFEST
    weights = file_sha256(manifest) if manifest.is_file() else None
    return {
        "note": NOTE,
        "command": settings.command,
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "device": device_name(world.device),
        "versions": versions(),
        "settings": settings.to_dict(),
        "identity": {**settings.identity(), "weights": weights},
    }


def _feature_net(settings: WorldSettings, world: BaseWorld, say: Callable[[str], None]) -> FeatureNet | None:
    try:
        return load_features("lite2", settings.size.feature_scale).to(world.device)
    except MissingExtraError as error:
        say(f"the feature distance is left out: {error}")
        return None


def _fidelity(measurement: Measurement, out: Path) -> list[Unit]:
    """List the fidelity report as one unit."""

    def run() -> dict[str, Any]:
        report = evaluate_world(measurement.settings.fidelity(), out, measurement.world)
        return {"file": FIDELITY_REPORT, "bars": report["bars"]}

    return [Unit({"preset": measurement.settings.presets[0]}, run)]
