"""Checks that all configurations of trainings share; free of torch, so that a mistake is answered at once."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from li_env import AccelConfig
from li_env.validation import check_text, check_whole

LIMITS: dict[str, tuple[int, int]] = {
    "steps": (1, 10**12),
    "cloning_steps": (0, 10**12),
    "worlds": (1, 4096),
    "horizon": (1, 100_000),
    "batch_size": (1, 10**6),
    "epochs": (1, 10_000),
    "rounds": (1, 100_000),
    "updates": (1, 10**9),
    "max_episode_steps": (1, 10**6),
    "saves": (1, 100_000),
    "snapshots": (1, 100_000),
    "seed": (0, 2**31 - 1),
}
"""Least and most of the whole numbers in a configuration. A resumed training adds its steps to the seed."""


def check_config(config: Any) -> None:
    """Check what all trainings have in common: whole numbers, the name of the world, the preset.

    Raises:
        ValueError: a value that is not allowed; names key, value and what is allowed.
    """
    check_counts(config)
    check_text("world", config.world)
    check_text("scans", config.scans, empty=True)
    AccelConfig.of(config.preset)


def check_counts(config: Any) -> None:
    """Check the whole numbers of a configuration against `LIMITS`.

    Raises:
        ValueError: a number that is not allowed; names key, value and what is allowed.
    """
    for field in fields(config):
        if field.name in LIMITS:
            check_whole(field.name, getattr(config, field.name), *LIMITS[field.name])
