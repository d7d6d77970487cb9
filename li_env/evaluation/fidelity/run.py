"""Whole fidelity report: render the game, drive the world along the same walks, write what was found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from li_env.accel.config import AccelConfig
from li_env.accel.runtime.machine import device_name, versions
from li_env.accel.world import BaseWorld
from li_env.evaluation.fidelity.motion_accuracy import motion_accuracy
from li_env.evaluation.fidelity.next_chunk import VARIANTS as NEXT_VARIANTS
from li_env.evaluation.fidelity.next_chunk import next_chunk_rows
from li_env.evaluation.fidelity.pictures import side_by_side, write_plot
from li_env.evaluation.fidelity.real_past import Player, encode
from li_env.evaluation.fidelity.reference_videos import HANDMADE, HELD_OUT, MY_WAY_HOME, ReferenceVideos, render_videos
from li_env.evaluation.fidelity.revisits import VARIANTS as REVISIT_VARIANTS
from li_env.evaluation.fidelity.revisits import revisit_rows
from li_env.evaluation.fidelity.rollouts import roll_out
from li_env.evaluation.fidelity.settings import CHUNK, STEPS, FidelitySettings
from li_env.evaluation.fidelity.targets import targets
from li_env.evaluation.fidelity.visible_pixels import previously_visible
from li_env.evaluation.fidelity.walks import LOOKS
from li_env.files import atomic_folder, write_json
from li_env.worlds.registry import load_world

REPORT, PLOT, PICTURE = "freedoom_fidelity.json", "freedoom_fidelity.png", "freedoom_fidelity_side_by_side.png"

NOTE = (
    "Held-out maps: random maps of the split in the settings (doom/splits.py), never trained on; maps of the split "
    "``test`` are never used for tuning. "
    "Hand-made maps of freedoom2.wad and my_way_home are out of the training's distribution. The camera follows the "
    "game's own poses. mean and std are over trajectories (each one's own mean first), n is their number. "
    "Chunk 1 holds the start frame, which is not scored."
)

_NEXT = ((HELD_OUT, "walk"), (HELD_OUT, "out_and_back"), (HELD_OUT, "spin"), (HANDMADE, "walk"), (MY_WAY_HOME, "walk"))
_SHOWN = 3

Advance = Callable[[], None]


def evaluate_world(settings: FidelitySettings, out: Path, world: BaseWorld | None = None) -> dict[str, Any]:
    """Measure the freedoom world against the game; write `REPORT`, `PLOT` and `PICTURE` into ``out``.

    Files appear when everything is measured, each whole. Progress goes to stderr.

    Args:
        settings: what to measure.
        out: folder of the files.
        world: the world; by default that of the settings is loaded.

    Returns:
        the content of the JSON file: ``note``, ``settings``, ``device``, ``versions``, ``seconds`` by part, ``bars``
        (see `targets`), ``next_chunk``, ``own_rollouts``, ``revisits`` and ``motion``.

    Raises:
        ValueError: unknown preset, missing or damaged weights.
        ImportError: no ViZDoom.
    """
    AccelConfig.of(settings.preset)  # an unknown preset is refused before anything takes long
    if world is None:
        world = load_world(settings.world, settings.device, settings.weights)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        report, pictures = measure(world, settings, _Parts(progress))
    with atomic_folder(out) as folder:
        write_json(folder / REPORT, report)
        (folder / PICTURE).write_bytes(side_by_side(pictures))
        write_plot(report, folder / PLOT)
    return report


class _Parts:
    """Progress display and seconds of each part."""

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str, total: int | None) -> Iterator[Advance]:
        began = time.perf_counter()
        if self._progress is None:
            yield lambda: None
        else:
            task = self._progress.add_task(name, total=total)
            progress = self._progress
            yield lambda: progress.advance(task)
            progress.update(task, total=1, completed=1)
        self.seconds[name] = round(time.perf_counter() - began, 1)


def measure(
    world: BaseWorld, settings: FidelitySettings, parts: _Parts | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Measure without writing files: the report, and frames [3, L, H, W, 3] by the row's name for the picture."""
    parts = parts or _Parts()
    with parts.part("the game", None) as advance:
        videos = render_videos(settings, lambda done, total: advance())
    following = _next_chunks(world, settings, videos, parts)
    rollouts, pictures = _own_rollouts(world, settings, videos, parts)
    with parts.part("revisits", REVISIT_VARIANTS * len(LOOKS)) as advance:
        revisits = revisit_rows(world, settings, videos, advance)
    mix = videos[(HELD_OUT, "mix")]
    with parts.part("motion", mix.frames.shape[1] // CHUNK - 1) as advance:
        motion = motion_accuracy(world, settings, mix, encode(world, mix.frames), advance)
    report: dict[str, Any] = {
        "note": NOTE,
        "settings": settings.to_dict(),
        "device": device_name(world.device),
        "versions": versions(),
        "seconds": parts.seconds,
        "bars": [],
        "next_chunk": following,
        "own_rollouts": rollouts,
        "revisits": revisits,
        "motion": motion,
    }
    report["bars"] = targets(report)
    return report, pictures


def _next_chunks(
    world: BaseWorld, settings: FidelitySettings, videos: dict[tuple[str, str], ReferenceVideos], parts: _Parts
) -> list[dict[str, Any]]:
    rows = []
    with parts.part("next chunk", NEXT_VARIANTS * (len(_NEXT) + 1)) as advance:
        for maps, kind in _NEXT:
            chosen = videos[(maps, kind)]
            latents = encode(world, chosen.frames)
            names = {kind: False, "way_back": True} if kind == "out_and_back" else {kind: False}
            for name, returning in names.items():
                found = next_chunk_rows(world, settings, chosen, latents, returning, advance)
                rows += [{"place": maps, "kind": name, **row} for row in found]
    return rows


def _own_rollouts(
    world: BaseWorld, settings: FidelitySettings, videos: dict[tuple[str, str], ReferenceVideos], parts: _Parts
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    variants = [
        (maps, kind, steps, memory)
        for maps, kind in ((HELD_OUT, "walk"), (HELD_OUT, "mix"), (HANDMADE, "walk"), (MY_WAY_HOME, "walk"))
        for steps in STEPS
        for memory in (True, False)
        if maps == HELD_OUT or (memory and steps == STEPS[0])
    ]
    rows: list[dict[str, Any]] = []
    pictures: dict[str, np.ndarray] = {}
    length = CHUNK * settings.chunks
    masks: dict[str, dict[str, torch.Tensor]] = {}
    with parts.part("own rollouts", settings.chunks * len(variants)) as advance:
        for maps, kind, steps, memory in variants:
            chosen = videos[(maps, kind)]
            if chosen.depths is not None and kind not in masks:
                masks[kind] = _masks(chosen, length, world.device)
            player = Player(world, settings.preset, steps, memory)
            own_masks = masks[kind] if maps == HELD_OUT else {}
            row, frames = roll_out(player, settings, chosen, world.device, own_masks, _SHOWN, advance)
            rows.append({"place": maps, "kind": kind, "steps": steps, "memory": memory, **row})
            if (maps, kind) == (HELD_OUT, "walk") and (memory or steps == STEPS[0]):
                pictures.setdefault("game", chosen.frames[:_SHOWN, :length])
                pictures[f"{steps} steps" if memory else f"{steps} steps, no memory"] = frames
    return rows, pictures


def _masks(chosen: ReferenceVideos, length: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Split pixels: seen in an earlier real frame, in none (unseen), in the start frame, which the model was shown."""
    assert chosen.depths is not None
    depths, poses = chosen.depths[:, :length], chosen.poses[:, :length]
    seen = previously_visible(depths, poses, device)
    return {"seen": seen, "unseen": ~seen, "start": previously_visible(depths, poses, device, earlier_frames=1)}
