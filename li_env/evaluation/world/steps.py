"""Denoising steps: own walks in the world's own number of steps and in four times as many."""

from __future__ import annotations

from functools import partial
from typing import Any

from li_env.evaluation.fidelity.settings import STEPS
from li_env.evaluation.world.driver import Driver
from li_env.evaluation.world.frame_scores import frame_scores, over_chunks
from li_env.evaluation.world.measurement import Measurement, Unit


def units(measurement: Measurement) -> list[Unit]:
    """List both numbers of steps under every preset, without and with the first scan."""
    return [
        Unit({"preset": preset, "scan": scan, "steps": steps}, partial(_walk, measurement, preset, scan, steps))
        for preset, scan in measurement.settings.variants
        for steps in STEPS
    ]


def _walk(measurement: Measurement, preset: str, scan: float | None, steps: int) -> dict[str, Any]:
    videos, chunks = measurement.game.walks("walk"), measurement.settings.chunks
    driver = Driver(measurement.world, preset, steps)
    played = driver.play(videos, measurement.seeds, chunks, measurement.banks(scan))
    real = videos.frames[:, : played.frames.shape[1]]
    scores = frame_scores(played.frames, real, measurement.world.device)
    whole = over_chunks(scores)
    return {"ranges": whole["ranges"], "by_chunk": {name: whole["by_chunk"][name] for name in ("psnr", "sharpness")}}
