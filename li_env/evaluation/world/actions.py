"""Action following: the motion that generated frames show, by an inverse model, against the motion that was made."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from li_env.doom.collision import RADIUS
from li_env.doom.known_maps import known_map
from li_env.doom.splits import TRAINING
from li_env.doom.trajectories import DEFAULT_KINDS, choose_kinds, simulate
from li_env.evaluation.fidelity.settings import CHUNK
from li_env.evaluation.fidelity.walks import world_matrices
from li_env.evaluation.world.driver import Driver
from li_env.evaluation.world.game import Game
from li_env.evaluation.world.inverse_model import (
    SCALE,
    SIZES,
    InverseModel,
    TrainingSize,
    estimate,
    pair_motions,
    train,
)
from li_env.evaluation.world.measurement import Measurement, Unit

FIRST_MAP = 9_000_000
"""First training map of the inverse model; the seed of the report counts from here."""

MOST_CHUNKS = 16
"""Chunks of a walk that are judged."""


class _Judge:
    """Inverse model that is trained when it is first asked."""

    def __init__(self, measurement: Measurement) -> None:
        self._measurement = measurement
        self._model: InverseModel | None = None

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        device = self._measurement.world.device
        if self._model is None:
            size, seed = SIZES[device.type], self._measurement.settings.seed
            self._model = train(*training_walks(self._measurement.game, size, seed), size, device, seed)
        return estimate(self._model, frames, device)


def units(measurement: Measurement) -> list[Unit]:
    """List the game itself, then every preset without and with the first scan."""
    judge = _Judge(measurement)
    found = [Unit({"preset": None, "scan": None, "frames": "game"}, partial(_game, measurement, judge))]
    for preset, scan in measurement.settings.variants:
        labels = {"preset": preset, "scan": scan, "frames": "generated"}
        found.append(Unit(labels, partial(_generated, measurement, judge, preset, scan)))
    return found


def training_walks(game: Game, size: TrainingSize, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Render walks on training maps: frames uint8 [n, L, H, W, 3] and poses [n, L, 4, 4]."""
    seeds = [TRAINING[FIRST_MAP + 1000 * seed + number] for number in range(size.maps)]
    paths = []
    for map_seed in seeds:
        known, rng = known_map(map_seed), np.random.default_rng([map_seed, 5])
        kinds = choose_kinds(size.walks, DEFAULT_KINDS, rng)
        drawn = simulate([known.space], [known.segments], [0] * size.walks, kinds, size.length, rng, RADIUS)
        paths.append(drawn.doom_poses)
    shown = np.stack(game.render(seeds, [each.reshape(-1, 3) for each in paths]))
    return shown.reshape(-1, size.length, *shown.shape[2:]), world_matrices(np.concatenate(paths))


def following(estimated: np.ndarray, made: np.ndarray) -> dict[str, Any]:
    """Compare motions [n, T, 3] (yaw degrees, right, forward metres): seen in frames, and made by the camera.

    Returns:
        ``pairs``; ``yaw_error_degrees`` and ``shift_error_metres``: means, and medians under ``..._median``;
        ``standing_...``: the same means if every pair were judged to stand still; ``followed``: share of pairs with
        both errors below half of a held key's motion; ``yaw_correlation`` and ``forward_correlation``, None where
        nothing moves.
    """
    yaw = np.abs(estimated[..., 0] - made[..., 0])
    shift = np.linalg.norm(estimated[..., 1:] - made[..., 1:], axis=-1)
    return {
        "pairs": int(yaw.size),
        "yaw_error_degrees": float(yaw.mean()),
        "yaw_error_degrees_median": float(np.median(yaw)),
        "shift_error_metres": float(shift.mean()),
        "shift_error_metres_median": float(np.median(shift)),
        "standing_yaw_error_degrees": float(np.abs(made[..., 0]).mean()),
        "standing_shift_error_metres": float(np.linalg.norm(made[..., 1:], axis=-1).mean()),
        "followed": float(((yaw < SCALE[0] / 2) & (shift < SCALE[2] / 2)).mean()),
        "yaw_correlation": _correlation(estimated[..., 0], made[..., 0]),
        "forward_correlation": _correlation(estimated[..., 2], made[..., 2]),
    }


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    a, b = a.ravel() - a.mean(), b.ravel() - b.mean()
    energy = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / energy if energy > 0 else None


def _length(measurement: Measurement) -> int:
    return CHUNK * min(MOST_CHUNKS, measurement.settings.chunks)


def _game(measurement: Measurement, judge: _Judge) -> dict[str, Any]:
    videos, length = measurement.game.walks("walk"), _length(measurement)
    return following(judge(videos.frames[:, :length]), pair_motions(videos.poses[:, :length]))


def _generated(measurement: Measurement, judge: _Judge, preset: str, scan: float | None) -> dict[str, Any]:
    videos, chunks = measurement.game.walks("walk"), _length(measurement) // CHUNK
    driver = Driver(measurement.world, preset)
    played = driver.play(videos, measurement.seeds, chunks, measurement.banks(scan))
    return following(judge(played.frames), pair_motions(played.poses))
