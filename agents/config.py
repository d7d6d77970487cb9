"""Configurations of agents by kind, read from YAML."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from li_env.agents.cloning.config import BCConfig
from li_env.agents.mapper.config import MapperConfig
from li_env.agents.ppo.config import PPOConfig
from li_env.files import read_yaml
from li_env.validation import check_choice, check_keys, check_mapping, shown_path

Config = PPOConfig | MapperConfig | BCConfig

KINDS: dict[str, type[PPOConfig] | type[MapperConfig] | type[BCConfig]] = {
    "ppo": PPOConfig,
    "mapper": MapperConfig,
    "bc": BCConfig,
}
"""Values of the key ``agent`` of a configuration; ``ppo`` without one."""


def read_config(path: str | Path) -> Config:
    """Read the configuration of a training from YAML.

    Raises:
        ValueError: not a file or not YAML, an unknown key or a value that is not allowed.
    """
    name = shown_path(Path(path).name)
    read = read_yaml(path, "config", "a YAML file of settings, for instance configs/agents/ppo_open.yaml")
    data = dict(check_mapping(f"{name}: settings", {} if read is None else read))
    kind = KINDS[check_choice(f"{name}: agent", data.pop("agent", "ppo"), tuple(KINDS))]
    check_keys(f"{name}:", data, ["agent", *(item.name for item in fields(kind))])
    return kind(**data)
