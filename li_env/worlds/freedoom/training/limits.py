"""Limits of training settings: of every number, and of parts that must fit each other."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from li_env.doom.splits import TRAINING, VALIDATION
from li_env.doom.trajectories import choose_kinds
from li_env.validation import check_choice, check_mapping, check_number, check_whole, shown
from li_env.worlds.freedoom.sizes import SIZES
from li_env.worlds.freedoom.training.store import GROUP

STAGES = ("autoencoder", "sharp_autoencoder", "dynamics", "motion", "refine")
"""All stages in their order."""

NEEDS: dict[str, tuple[str, ...]] = {
    "autoencoder": (),
    "sharp_autoencoder": ("autoencoder",),
    "dynamics": ("autoencoder",),
    "motion": ("autoencoder",),
    "refine": ("autoencoder", "dynamics"),
}
"""Stages whose results a stage starts from."""

LONGEST_CONTEXT = 20
"""Latents of the longest context that the dynamics are trained with."""

MOST_SCHEDULES = 64

SPACINGS = (0.5, 50.0)
"""Metres between spots of a scan."""

_COUNTS: dict[str, tuple[int, int]] = {
    "steps": (1, 10**9),
    "batch": (1, 2**16),
    "draws": (1, 64),
    "chunks": (1, 1024),
    "warmup": (0, 10**9),
    "measure_every": (1, 10**9),
    "held_out_samples": (1, 2**20),
    "feature_scale": (1, 4),
    "maps": (1, len(TRAINING)),
    "trajectories_per_map": (1, 4096),
    "length": (2, 2**16),
    "validation_maps": (1, len(VALIDATION)),
    "validation_length": (2, 2**16),
    "scan_views": (0, 4096),
    "validation_scan_views": (0, 4096),
    "tries": (0, 64),
    "seed": (0, 2**62),
}
_ABOVE_0 = {"rate": 1, "muon_rate": 1, "adam_rate": 1, "judge_rate": 1, "loss_floor": 1, "max_seconds": 1e9,
            "save_seconds": 1e9}  # fmt: skip
_FROM_0 = {"latent_noise": 1, "feature_weight": 1e3, "adversarial_from": 1, "context_noise": 1, "pure_noise": 1,
           "blocked_share": 1, "tried_share": 1, "blend": 1, "label": 1, "adversarial_share": 100,
           "gradient_weight": 1e3, "smoothness": 1e3, "smoothness_noise": 10, "sigma_spread": 10}  # fmt: skip


def check_training(config: Any) -> None:
    """Check all settings of a `TrainConfig`.

    Raises:
        ValueError: names the key, its value and what is allowed.
    """
    check_choice("size", config.size, SIZES)
    check_whole("seed", config.seed, *_COUNTS["seed"])
    stages = config.stages
    if not isinstance(stages, tuple) or not stages or any(stage not in NEEDS for stage in stages):
        raise ValueError(f"stages={shown(stages)} is not allowed; use a list of {', '.join(NEEDS)}")
    if len(set(stages)) != len(stages):
        raise ValueError(f"stages={shown(stages)} is not allowed; use every stage once")
    for field in fields(config):
        part = getattr(config, field.name)
        if is_dataclass(part):
            for item in fields(part):
                _check_value(f"{field.name}.{item.name}", item.name, getattr(part, item.name))
    _check_fit(config)


def _check_value(key: str, name: str, value: Any) -> None:
    if name in _COUNTS:
        check_whole(key, value, *_COUNTS[name])
    elif name == "max_seconds" and value is None:
        return
    elif name in _ABOVE_0:
        check_number(key, value, 0, _ABOVE_0[name], above=True)
    elif name in _FROM_0:
        check_number(key, value, 0, _FROM_0[name])
    elif name == "ema":
        check_number(key, value, 0, 1, below=True)
    elif name == "sigma_mean":
        check_number(key, value, -10, 10)
    elif name == "kinds":
        for kind, weight in check_mapping(key, value).items():
            check_number(f"{key}.{shown(kind)}", weight, 0, 1e6)
        choose_kinds(0, value, np.random.default_rng(0))
    elif name == "scan_spacing":
        if not isinstance(value, tuple) or len(value) != 2 or not all(isinstance(each, int | float) for each in value):
            raise ValueError(f"{key}={shown(value)} is not allowed; use two lengths in metres, least and most")
        least, most = (check_number(key, each, *SPACINGS) for each in value)
        if least > most:
            raise ValueError(f"{key}={shown(value)} is not allowed; use the smaller length first")
    elif name == "validation_scan_spacing":
        check_number(key, value, *SPACINGS)
    elif name == "blends":
        for weight in value:
            check_number(key, weight, 0, 1)
    elif name == "schedules":
        _check_schedules(key, value)
    else:
        raise ValueError(f"{key}={shown(value)} is not allowed; no setting of this name has limits")


def _check_schedules(key: str, value: Any) -> None:
    if not isinstance(value, tuple) or not 1 <= len(value) <= MOST_SCHEDULES:
        raise ValueError(f"{key}={shown(value)} is not allowed; use 1 to {MOST_SCHEDULES} lists of noise levels")
    for levels in value:
        fits = isinstance(levels, tuple) and 2 <= len(levels) <= 1001
        for level in levels if fits else ():
            check_number(key, level, 0, 1)
        if not fits or levels[0] != 1 or levels[-1] != 0 or any(a <= b for a, b in pairwise(levels)):
            raise ValueError(f"{key}={shown(levels)} is not allowed; use noise levels that fall from 1 to 0")


def _check_fit(config: Any) -> None:
    data = config.data
    if (data.seed + 1) * data.maps > len(TRAINING):
        raise ValueError(
            f"data.seed={data.seed} is not allowed; use 0 to {len(TRAINING) // data.maps - 1} with {data.maps} maps"
        )
    least = {"motion": 2 * GROUP, "dynamics": LONGEST_CONTEXT + GROUP,
             "refine": max(LONGEST_CONTEXT + GROUP, GROUP * config.refine.chunks)}  # fmt: skip
    for stage in config.stages:
        if data.length < least.get(stage, 2):
            raise ValueError(f"data.length={data.length} is not allowed; use {least[stage]} or more for stage {stage}")
        if stage not in ("autoencoder", "sharp_autoencoder") and data.validation_length < 2 * GROUP:
            raise ValueError(
                f"data.validation_length={data.validation_length} is not allowed; use {2 * GROUP} or more "
                f"for stage {stage}"
            )
