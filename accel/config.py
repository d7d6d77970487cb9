"""Settings of the acceleration: validated, frozen, with presets from ``configs/accel/*.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from importlib.resources import files
from typing import Any

import yaml

from li_env.accel.memory import MEMORY_POLICIES


@dataclass(frozen=True)
class AccelConfig:
    """How the engine spends its work.

    Attributes:
        name: preset name, for reports.
        warmup_chunks: the first chunks of an episode, computed in full (0 or more).
        memory: policy that retrieves old latents: ``nearest_view`` (the plain model's own rule).
        revisit_similarity: view similarity, in [0, 1], from which a chunk counts as a revisit.
    """

    name: str = "off"
    warmup_chunks: int = 3
    memory: str = "nearest_view"
    revisit_similarity: float = 0.7

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name: {self.name!r} is not allowed; use a text, quoted in YAML if it is off or on")
        if isinstance(self.warmup_chunks, bool) or not isinstance(self.warmup_chunks, int) or self.warmup_chunks < 0:
            raise ValueError(f"warmup_chunks: {self.warmup_chunks!r} is not allowed; use a whole number from 0 up")
        _check_choice("memory", self.memory, tuple(MEMORY_POLICIES))
        _check_share("revisit_similarity", self.revisit_similarity)

    @classmethod
    def preset(cls, name: str) -> AccelConfig:
        """Load a preset that ships with the package.

        Raises:
            ValueError: there is no preset of this name (the message lists those there are).
        """
        _check_choice("preset", name, preset_names())
        return cls.from_dict(yaml.safe_load((_preset_folder() / f"{name}.yaml").read_text(encoding="utf-8")))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AccelConfig:
        """Build from plain values; a missing key takes its default.

        Raises:
            ValueError: unknown key (with the closest known one) or a value that is not allowed.
        """
        if not isinstance(data, Mapping):
            raise ValueError(f"acceleration settings: {data!r} is not a mapping of keys to values")
        known = [entry.name for entry in fields(cls)]
        for key in data:
            if key not in known:
                raise ValueError(f"{key}: unknown key;{_closest(str(key), known)} allowed: {', '.join(known)}")
        return cls(**data)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; ``from_dict`` restores an equal config."""
        return asdict(self)

    def replace(self, **changes: Any) -> AccelConfig:
        """A copy with some values changed, validated like a new one."""
        return self.from_dict({**self.to_dict(), **changes})


def preset_names() -> tuple[str, ...]:
    """Names of the presets that ship with the package, in alphabetical order."""
    names = (entry.name for entry in _preset_folder().iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def _preset_folder() -> Any:
    return files("li_env.configs") / "accel"


def _closest(word: str, known: list[str] | tuple[str, ...]) -> str:
    matches = get_close_matches(word, known, n=1)
    return f" did you mean {matches[0]!r}?" if matches else ""


def _check_choice(key: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{key}: {value!r} is not known;{_closest(str(value), allowed)} allowed: {', '.join(allowed)}")


def _check_share(key: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise ValueError(f"{key}: {value!r} is not allowed; use a number from 0 to 1")
