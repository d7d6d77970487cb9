"""Collapse: how many frames of long rollouts are constant, saturated or not finite where the game's are not."""

from __future__ import annotations

from functools import partial
from typing import Any

from li_env.evaluation.world.driver import Driver
from li_env.evaluation.world.measurement import Measurement, Unit
from li_env.evaluation.world.walks import count_degenerate

KINDS = ("walk", "mix")
"""Walks whose frames are counted; the noise differs from that of the part ``walks``."""

_OTHER_NOISE = 500_000


def units(measurement: Measurement) -> list[Unit]:
    """List the kinds of walks under every preset, without and with the first scan."""
    return [
        Unit({"preset": preset, "scan": scan, "kind": kind}, partial(_count, measurement, preset, scan, kind))
        for preset, scan in measurement.settings.variants
        for kind in KINDS
    ]


def _count(measurement: Measurement, preset: str, scan: float | None, kind: str) -> dict[str, Any]:
    videos, chunks = measurement.game.walks(kind), measurement.settings.chunks
    seeds = [seed + _OTHER_NOISE for seed in measurement.seeds]
    played = Driver(measurement.world, preset).play(videos, seeds, chunks, measurement.banks(scan))
    real = videos.frames[:, 1 : played.frames.shape[1]]
    return dict(count_degenerate(played.frames[:, 1:], real, played.broken))
