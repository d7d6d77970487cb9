"""Agents by their configuration: read one, train it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from li_env.accel.world import WorldModel
from li_env.agents import ppo, seeing
from li_env.agents.settings import read_settings
from li_env.errors import check_choice, check_keys
from li_env.tasks import EpisodeDataset
from li_env.validation import shown_path

Config = ppo.PPOConfig | seeing.MapperConfig

KINDS: dict[str, type[ppo.PPOConfig] | type[seeing.MapperConfig]] = {
    "ppo": ppo.PPOConfig,
    "mapper": seeing.MapperConfig,
}
"""Values of the key ``agent`` of a configuration; ``ppo`` without one."""


def read_config(path: str | Path) -> Config:
    """Read YAML.

    Raises:
        ValueError: not a file or not YAML, an unknown key or a value that is not allowed.
    """
    data, name = read_settings(path), shown_path(Path(path).name)
    kind = KINDS[check_choice(f"{name}: agent", data.pop("agent", "ppo"), tuple(KINDS))]
    check_keys(f"{name}:", data, ["agent", *(item.name for item in fields(kind))])
    return kind(**data)


def train(
    config: Config,
    out: str | Path,
    dataset: str | Path | EpisodeDataset | None = None,
    world: WorldModel | None = None,
    device: str = "auto",
    on_update: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> Path:
    """Train into folder ``out``; see `ppo.train` and `seeing.train`."""
    if isinstance(config, ppo.PPOConfig):
        return ppo.train(config, out, dataset, world, device, on_update)
    return seeing.train(config, out, dataset, world, device, on_update)
