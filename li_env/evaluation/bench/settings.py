"""Settings of the benchmark, and their checks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from li_env.accel.config import AccelConfig
from li_env.evaluation.standard_paths import TRAJECTORIES
from li_env.validation import check_choice, shown
from li_env.yaml_text import parse_yaml

REFERENCE = "off"
"""Preset that the others are compared with: the plain model."""

SWEPT = "all"
"""Preset of which a sweep replaces keys, unless the sweep names another."""

_FORM = re.compile(r"(?:(?P<preset>.+):)?\s*(?P<keys>[^:=]+?)\s*=(?P<values>[^=]*)")

_MOST = {"repeats": 1000, "chunks": 10_000, "batch": 4096}


@dataclass(frozen=True)
class Sweep:
    """Keys of a preset that take the same values together.

    Attributes:
        key: a key of the acceleration settings, or several joined by plus signs.
        values: what all of them are set to, one after the other.
        preset: what they are replaced in, in any form that `AccelConfig.of` takes as text.
    """

    key: str
    values: tuple[Any, ...]
    preset: str = SWEPT

    @property
    def config(self) -> AccelConfig:
        """Settings of the preset."""
        return AccelConfig.of(self.preset)

    @property
    def file(self) -> str:
        """Name of the plot's file."""
        parts = [self.key] if self.preset == SWEPT else [re.sub(r"[^\w.-]", "_", self.config.name), self.key]
        return f"sweep_{'_'.join(parts)}.png"

    def variants(self) -> list[Variant]:
        """Return the preset once per value.

        Raises:
            ValueError: an unknown key, or a value that a key does not take.
        """
        found, config = [], self.config
        for value in self.values:
            label = f"{config.name} {self.key}={value}"
            changes = dict.fromkeys(self.key.split("+"), value)
            found.append(Variant(label, config.replace(**changes, name=label), self.key, value, config.name))
        return found


@dataclass(frozen=True)
class Variant:
    """Row of the table: a preset, or one with keys replaced (then ``key``, ``value`` and ``preset`` say which)."""

    label: str
    config: AccelConfig
    key: str | None = None
    value: Any = None
    preset: str | None = None


@dataclass(frozen=True)
class BenchSettings:
    """Settings of `run.benchmark`.

    Attributes:
        presets: names, files or settings (`AccelConfig.of`); `REFERENCE` is added in front if it is missing.
        trajectories: names from `standard_paths.TRAJECTORIES`.
        seeds: one rollout per trajectory and seed; a seed picks the start frame (modulo their number) and the noise.
        repeats: how often everything is timed; the presets take turns within a repeat.
        chunks: length of a rollout.
        batch: rollouts generated at once.
        game: whether to compare with the real game where a world has one.
        sweeps: further variants, each of a preset with keys replaced.
    """

    presets: tuple[str | AccelConfig, ...] = ("off", "context", "cache", "sparse", "all")
    trajectories: tuple[str, ...] = TRAJECTORIES
    seeds: tuple[int, ...] = (0, 1)
    repeats: int = 3
    chunks: int = 16
    batch: int = 4
    game: bool = True
    sweeps: tuple[Sweep, ...] = ()

    def __post_init__(self) -> None:
        for name in self.trajectories:
            check_choice("trajectory", name, TRAJECTORIES)
        for key in ("presets", "trajectories", "seeds"):
            values = getattr(self, key)
            if not values or len(set(values)) != len(values):
                raise ValueError(f"{key}={values!r} is not allowed; use one or more, each once")
        labels = [variant.label for variant in self.variants]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"presets: two are called {label!r}; give every one a name of its own")
        for key, most in _MOST.items():
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise ValueError(f"{key}={value!r} is not allowed; use a whole number from 1 to {most}")
        for seed in self.seeds:
            if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
                raise ValueError(f"seeds: {seed!r} is not allowed; use whole numbers from 0 up")
        if self.chunks <= self.warmup_chunks:
            raise ValueError(
                f"chunks={self.chunks} is not allowed; use {self.warmup_chunks + 1} or more: "
                f"the first {self.warmup_chunks} are warm-up and not compared"
            )

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Variants that are run: the reference first, then the other presets, then the sweeps."""
        configs = [AccelConfig.of(preset) for preset in self.presets if preset != REFERENCE]
        variants = [Variant(config.name, config) for config in (AccelConfig.preset(REFERENCE), *configs)]
        return (*variants, *(variant for sweep in self.sweeps for variant in sweep.variants()))

    @property
    def warmup_chunks(self) -> int:
        """Number of first chunks that no comparison counts: the most warm-up chunks of any variant."""
        return max(variant.config.warmup_chunks for variant in self.variants)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-ready values."""
        return asdict(self)


def parse_sweep(text: str) -> Sweep:
    """Read ``warmup_chunks=1,2``, ``memory_threshold+revisit_similarity=0.3,0.5`` or ``paper:warmup_chunks=1,2``.

    Values are YAML scalars (``null``, ``true``, words, numbers). In front of the colon stands a preset: a name, the
    path of a YAML file, or a mapping in braces.

    Raises:
        ValueError: not of this form, an unknown preset or key, or a value that a key does not take.
    """
    found = _FORM.fullmatch(text.strip())
    words = [] if found is None else [word.strip() for word in found["values"].split(",")]
    keys = [] if found is None else [key.strip() for key in found["keys"].split("+")]
    if found is None or not all(words) or not all(keys):
        raise ValueError(
            f"sweep={shown(text)} is not allowed; write KEY=VALUE,VALUE such as revisit_similarity=0.5,0.7, "
            "several keys with + between them, another preset than all in front with a colon"
        )
    if "name" in keys or "worlds" in keys:
        raise ValueError(
            f"sweep: the key {'name' if 'name' in keys else 'worlds'!r} changes nothing; "
            "use another key of the acceleration settings"
        )
    if len(set(keys)) != len(keys):
        raise ValueError(f"sweep={shown(text)} is not allowed; use every key once")
    try:
        values = tuple(parse_yaml(word, "sweep") for word in words)
    except ValueError:
        raise ValueError(f"sweep={shown(text)} is not allowed; its values must be numbers or words") from None
    if len(set(map(repr, values))) != len(values):
        raise ValueError(f"sweep={shown(text)} is not allowed; use every value once")
    sweep = Sweep("+".join(keys), values, (found["preset"] or SWEPT).strip())
    sweep.variants()
    return sweep


def parse_sweeps(texts: Sequence[str]) -> tuple[Sweep, ...]:
    """Read several sweeps as `parse_sweep` does, the keys of a preset once.

    Raises:
        ValueError: as `parse_sweep`, or keys of a preset come twice.
    """
    sweeps = tuple(parse_sweep(text) for text in texts)
    files = [sweep.file for sweep in sweeps]
    if len(set(files)) != len(files):
        raise ValueError(f"sweep={list(texts)!r} is not allowed; use every key once")
    return sweeps
