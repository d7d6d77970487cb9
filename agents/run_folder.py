"""Reading the YAML files that say how an agent is trained."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from li_env.accel.config import AccelConfig
from li_env.files import atomic_write, parse_json, read_json, read_text, read_yaml
from li_env.validation import check_mapping, check_text, check_whole, shown_path


def read_settings(path: str | Path) -> dict[str, Any]:
    """The keys and values of a file.

    Raises:
        ValueError: not a file, not YAML or not a mapping.
    """
    data = read_yaml(path, "config", "a YAML file of settings, for instance configs/agents/pointgoal.yaml")
    return dict(check_mapping(f"{shown_path(Path(path).name)}: settings", {} if data is None else data))


def read_state(folder: Path) -> dict[str, Any]:
    """What ``agent.json`` in an agent's folder says: ``agent``, ``steps`` and ``config``.

    Raises:
        ValueError: it is damaged or not the file of an agent.
    """
    path = folder / "agent.json"
    state = check_mapping(f"{shown_path(path)}: agent", read_json(path, "agent"))
    check_text(f"{shown_path(path)}: agent", state.get("agent", "ppo"))
    check_mapping(f"{shown_path(path)}: config", state.get("config"))
    check_whole(f"{shown_path(path)}: steps", state.get("steps"))
    return {"agent": "ppo", **state}


def keep_log(path: Path, steps: int) -> None:
    """Keep the lines of a log up to ``steps``: what an interrupted training noted after its last save comes again."""
    kept = []
    if path.is_file():
        for line in read_text(path, "log", MOST_LOG, "the log of a training").splitlines():
            with suppress(ValueError):  # half a line, which a killed process left
                entry = parse_json(line, "log")
                if isinstance(entry, dict) and isinstance(entry.get("steps"), int) and entry["steps"] <= steps:
                    kept.append(line + "\n")
    with atomic_write(path) as temporary:
        temporary.write_text("".join(kept), encoding="utf-8")


def check_settings(config: Any) -> None:
    """Check what all trainings have in common: numbers that count something, the seed, world and preset by name.

    Raises:
        ValueError: names the key, its value and what is allowed.
    """
    check_counts(config)
    check_text("world", config.world)
    AccelConfig.of(config.preset)


def check_counts(config: Any) -> None:
    """Check the whole numbers of a configuration.

    Raises:
        ValueError: names the key, its value and what is allowed.
    """
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name in MOST:
            least, most = MOST[field.name]
            check_whole(field.name, value, least, most)


MOST_LOG = 2**28
"""Bytes of a log that is read."""

MOST: dict[str, tuple[int, int]] = {
    "steps": (1, 10**12),
    "cloning_steps": (0, 10**12),
    "worlds": (1, 4096),
    "horizon": (1, 100_000),
    "batch_size": (1, 10**6),
    "epochs": (1, 10_000),
    "rounds": (1, 100_000),
    "updates": (1, 10**9),
    "max_episode_steps": (1, 10**6),
    "snapshots": (1, 100_000),
    "seed": (0, 2**31 - 1),
}
"""Least and most of the whole numbers of a configuration; what goes on after an interruption adds to the seed."""
