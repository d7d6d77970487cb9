"""Walls: does the world stop a command where the game does, after a real past, without and with a scan."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from li_env.accel.geometry.camera import follow
from li_env.accel.runtime.contexts import motion_requests
from li_env.evaluation.fidelity.real_past import RealPast, encode
from li_env.evaluation.fidelity.settings import BATCH, CHUNK
from li_env.evaluation.world.driver import motions_of
from li_env.evaluation.world.measurement import Measurement, Unit

THRESHOLDS = (0.05, 0.25)
"""Metres by which a command is shortened from which on it counts as blocked."""


def units(measurement: Measurement) -> list[Unit]:
    """List the walls without a scan and in every scan; presets do not change them."""
    return [Unit({"scan": scan}, partial(_walls, measurement, scan)) for scan in measurement.settings.scans]


def _walls(measurement: Measurement, scan: float | None) -> dict[str, Any]:
    world, settings = measurement.world, measurement.settings
    videos, banks = measurement.game.walks("mix"), measurement.banks(scan)
    pasts = [
        RealPast(world, videos.frames[row], encode(world, videos.frames[row]), videos.poses[row])
        for row in range(len(videos))
    ]
    wanted, true, found = [], [], []
    for chunk in range(1, settings.chunks):
        part = slice(CHUNK * chunk - 1, CHUNK * (chunk + 1) - 1)
        commanded = [motions_of(row[part]) for row in videos.commanded]
        states = [past.state(chunk, 0) for past in pasts]
        if banks is not None:
            states = [replace(state, bank=bank) for state, bank in zip(states, banks, strict=True)]
        arrivals = [follow(state.pose, moves)[-1] for state, moves in zip(states, commanded, strict=True)]
        with torch.inference_mode():
            for begin in range(0, len(states), BATCH):
                own = slice(begin, begin + BATCH)
                requests = motion_requests(world, states[own], commanded[own], arrivals[own])
                for moves in world.feasible_motions(requests):
                    found.append([(move.right, move.forward) for move in moves])
        wanted.append(videos.commanded[:, part, 1:])
        true.append(videos.feasible[:, part, 1:])
    if not found:
        return wall_scores(*[np.zeros((0, 2))] * 3)
    return wall_scores(np.concatenate(wanted), np.concatenate(true), np.array(found))


def wall_scores(wanted: np.ndarray, true: np.ndarray, found: np.ndarray) -> dict[str, Any]:
    """Compare displacements [..., 2] in metres: commanded, realised in the game, allowed by the world.

    Returns:
        ``motions``; ``error_metres`` between game and world, None without motions; and for each of `THRESHOLDS` as
        text ``blocked`` (number in the game), ``recall`` and ``precision`` of being blocked, None without a case.
    """
    error = np.linalg.norm(found - true, axis=-1)
    shortened, predicted = (np.linalg.norm(wanted - each, axis=-1) for each in (true, found))
    rows: dict[str, Any] = {"motions": int(error.size), "error_metres": float(error.mean()) if error.size else None}
    for threshold in THRESHOLDS:
        blocked, said = shortened > threshold, predicted > threshold
        both = int((blocked & said).sum())
        rows[f"{threshold:g}"] = {
            "blocked": int(blocked.sum()),
            "recall": both / int(blocked.sum()) if blocked.any() else None,
            "precision": both / int(said.sum()) if said.any() else None,
        }
    return rows
