"""Own walks, without and with a scan: everything after the start frame is generated, along the game's poses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from li_env.accel.runtime.start_from_views import generate_starts
from li_env.evaluation.fidelity.rollouts import degenerate_frames
from li_env.evaluation.world.driver import Banks, Driver, Played
from li_env.evaluation.world.frame_scores import frame_scores, over_chunks, summarised
from li_env.evaluation.world.measurement import Measurement, Unit

SHOWN = 3
"""Trajectories in the side-by-side picture."""


def units(measurement: Measurement) -> list[Unit]:
    """List the walks: every preset without a scan and in every scan, and walks that begin beside the views."""
    settings = measurement.settings
    found = []
    for preset in settings.presets:
        for scan in settings.scans:
            labels = {"preset": preset, "scan": scan, "start": "picture"}
            found.append(Unit(labels, partial(_walk, measurement, preset, scan)))
        labels = {"preset": preset, "scan": settings.spacings[0], "start": "beside"}
        found.append(Unit(labels, partial(_beside, measurement, preset)))
    return found


def count_degenerate(generated: np.ndarray, real: np.ndarray, broken: np.ndarray) -> dict[str, int]:
    """Count frames and degenerate ones in frames uint8 [n, T, H, W, 3]; see `rollouts.degenerate_frames`."""
    marks = degenerate_frames(generated, real, broken)
    return {"frames": int(marks["collapsed"].size), **{name: int(marked.sum()) for name, marked in marks.items()}}


def _walk(measurement: Measurement, preset: str, scan: float | None) -> dict[str, Any]:
    settings, banks = measurement.settings, measurement.banks(scan)
    videos = measurement.game.walks("walk")
    played = Driver(measurement.world, preset).play(videos, measurement.seeds, settings.chunks, banks)
    if preset == settings.presets[0]:
        measurement.pictures.setdefault("game", videos.frames[:SHOWN, : played.frames.shape[1]])
        measurement.pictures["no scan" if scan is None else f"scan {scan:g} m"] = played.frames[:SHOWN]
    return {**_scores(measurement, played, videos.frames, given=1), **_views(banks)}


def _beside(measurement: Measurement, preset: str) -> dict[str, Any]:
    """Walk from a pose beside the views; a world that can generates the start frame too."""
    settings, world = measurement.settings, measurement.world
    banks = measurement.banks(settings.spacings[0])
    assert banks is not None
    videos = measurement.game.walks("beside")
    starts: Sequence[np.ndarray] | None = None
    if not world.needs_start_frame:
        starts = generate_starts(world, [""] * len(videos), measurement.seeds, list(videos.poses[:, 0]), banks)
    played = Driver(world, preset).play(videos, measurement.seeds, settings.chunks, banks, starts)
    found = {**_scores(measurement, played, videos.frames, given=1), **_views(banks), "start_frame": None}
    if starts is not None:
        first = frame_scores(np.stack(starts)[:, None], videos.frames[:, :1], world.device, measurement.net)
        found["start_frame"] = summarised(first)
    return found


def _scores(measurement: Measurement, played: Played, real: np.ndarray, given: int) -> dict[str, Any]:
    real = real[:, : played.frames.shape[1]]
    scores = frame_scores(played.frames, real, measurement.world.device, measurement.net)
    return {
        **over_chunks(scores, given),
        "degenerate": count_degenerate(played.frames[:, given:], real[:, given:], played.broken),
    }


def _views(banks: Banks) -> dict[str, Any]:
    """Return the mean and the largest number of views of the scans."""
    counts = [0] if banks is None else [len(bank) for bank in banks]
    return {"views": {"mean": float(np.mean(counts)), "most": max(counts)}}
