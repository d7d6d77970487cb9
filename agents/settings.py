"""Reading the YAML files that say how an agent is trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def read_settings(path: str | Path) -> dict[str, Any]:
    """The keys and values of a file.

    Raises:
        ValueError: not a file, not YAML or not a mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"config={str(path)!r} is not a file; for instance configs/agents/pointgoal.yaml")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"config={str(path)!r} is not YAML: {error}") from None
    if not isinstance(data, dict):
        raise ValueError(f"config={str(path)!r} is not a mapping of keys to values")
    return data


def check_whole(values: Mapping[str, Any], least: int = 1) -> None:
    """Refuse values that are not whole numbers from ``least`` up."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name}={value!r} is not allowed; use a whole number from {least} up")
