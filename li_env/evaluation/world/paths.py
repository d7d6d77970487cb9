"""Pose error: where the same commands lead inside the world and in the game."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from li_env.accel.geometry.camera import follow
from li_env.evaluation.fidelity.settings import CHUNK
from li_env.evaluation.world.driver import Driver, motions_of
from li_env.evaluation.world.measurement import Measurement, Unit

STEPS = (1, 2, 4, 8, 16, 32)
"""Environment steps (chunks) after which the error is stated."""

KINDS = ("free", "walls")
"""Commands: ``free`` are those that the game realised, so that no wall should change them; ``walls`` are those of an
explorer that also bumps into walls and slides along them."""

QUANTILES = {"q25": 0.25, "median": 0.5, "q75": 0.75, "q90": 0.9}


def units(measurement: Measurement) -> list[Unit]:
    """List both kinds of commands under every preset, without a scan and in every scan."""
    settings = measurement.settings
    return [
        Unit({"preset": preset, "scan": scan, "kind": kind}, partial(_errors, measurement, preset, scan, kind))
        for preset in settings.presets
        for scan in settings.scans
        for kind in KINDS
    ]


def _errors(measurement: Measurement, preset: str, scan: float | None, kind: str) -> dict[str, Any]:
    videos, chunks = measurement.game.walks("walk"), measurement.settings.chunks
    commands = videos.feasible if kind == "free" else videos.commanded
    driver = Driver(measurement.world, preset, walls=True)
    inside = driver.obey(videos, commands, measurement.seeds, chunks, measurement.banks(scan))
    return error_summary(inside, game_poses(videos.poses[:, 0], videos.feasible, chunks))


def game_poses(starts: np.ndarray, feasible: np.ndarray, chunks: int) -> np.ndarray:
    """Follow the game's motions [N, L - 1, 3] from [N, 4, 4]: poses [N, chunks + 1, 4, 4] after every chunk."""
    ends = CHUNK * np.arange(1, chunks + 1) - 2
    paths = [follow(start, motions_of(row)) for start, row in zip(starts, feasible, strict=True)]
    return np.stack([np.concatenate([start[None], path[ends]]) for start, path in zip(starts, paths, strict=True)])


def error_summary(inside: np.ndarray, game: np.ndarray) -> dict[str, Any]:
    """Summarise the distances in metres of poses [N, chunks + 1, 4, 4] inside the world and in the game.

    Returns:
        ``n``; ``by_step``: lists of `QUANTILES` and ``mean`` after every step; ``after``: the same for each of `STEPS`
        that was reached.
    """
    errors = np.linalg.norm(inside[:, 1:, :3, 3] - game[:, 1:, :3, 3], axis=-1)
    by_step = {name: np.quantile(errors, share, axis=0).tolist() for name, share in QUANTILES.items()}
    by_step["mean"] = errors.mean(0).tolist()
    after = {
        str(step): {name: values[step - 1] for name, values in by_step.items()}
        for step in STEPS
        if step <= errors.shape[1]
    }
    return {"n": len(errors), "after": after, "by_step": by_step}
