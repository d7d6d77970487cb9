"""Next chunk and next frame after a real past, where the world's own errors play no part."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from li_env.evaluation.fidelity.next_chunk import positions_of
from li_env.evaluation.fidelity.real_past import RealPast, chunk_motions, encode
from li_env.evaluation.fidelity.scores import grouped
from li_env.evaluation.fidelity.settings import CHUNK
from li_env.evaluation.world.driver import Driver
from li_env.evaluation.world.frame_scores import frame_scores, summarised
from li_env.evaluation.world.measurement import Measurement, Unit

KINDS = {"walk": "walk", "way_back": "out_and_back"}
"""Kinds of positions and the walks that hold them; every pose of ``way_back`` was taken before."""


def units(measurement: Measurement) -> list[Unit]:
    """List the kinds under every preset, without and with the first scan."""
    return [
        Unit({"preset": preset, "scan": scan, "kind": kind}, partial(_next, measurement, preset, scan, kind))
        for kind in KINDS
        for preset, scan in measurement.settings.variants
    ]


def _next(measurement: Measurement, preset: str, scan: float | None, kind: str) -> dict[str, Any]:
    """Score the next chunk and each of its frames by its position in the chunk, the first of them being the next frame.

    Returns:
        ``samples``; ``chunk``: measures over the whole chunk; ``frames``: measures of each position, a list of four.
        Both are None where no walk holds such a position.
    """
    world, settings = measurement.world, measurement.settings
    videos = measurement.game.walks(KINDS[kind])
    window = world.spec.temporal_latents if kind == "way_back" else None
    places = positions_of(settings.fidelity(), videos, window)
    if not places:
        return {"samples": 0, "chunk": None, "frames": None}
    banks = measurement.banks(scan)
    rows = [row for row, _ in places]
    states, motions, real = [], [], []
    for row in sorted(set(rows)):
        past = RealPast(world, videos.frames[row], encode(world, videos.frames[row]), videos.poses[row])
        for chunk in (chunk for own, chunk in places if own == row):
            state = past.state(chunk, measurement.seeds[row])
            states.append(state if banks is None else replace(state, bank=banks[row]))
            motions.append(chunk_motions(videos.poses[row], chunk))
            real.append(videos.frames[row, CHUNK * chunk : CHUNK * (chunk + 1)])
    _, results = Driver(world, preset).step(states, motions)
    made = np.stack([result.frames for result in results])
    scores = frame_scores(made, np.stack(real), world.device, measurement.net)
    return {
        "samples": len(places),
        "chunk": summarised(grouped(scores, rows)),
        "frames": [
            summarised(grouped({name: values[:, [place]] for name, values in scores.items()}, rows))
            for place in range(CHUNK)
        ],
    }
