"""Settings of the acceleration: validated, frozen, with presets from ``configs/accel/*.yaml``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any

from li_env.files import read_yaml
from li_env.validation import check_mapping, check_text, shortened, shown
from li_env.yaml_text import parse_yaml

_FILES = (".yaml", ".yml", ".json")

CHOICES: dict[str, tuple[str, ...]] = {
    "window": ("fixed", "adaptive"),
    "memory": ("nearest_view", "fov_gate", "coverage"),
    "revisit": ("memory", "coverage"),
    "denoising": ("full", "shortened"),
    "attention": ("dense", "block_sparse"),
}
"""Allowed words of the keys that take a word."""


@dataclass(frozen=True)
class AccelConfig:
    """Settings of the acceleration. The default is the plain model.

    Attributes:
        name: preset name, for reports.
        warmup_chunks: the first chunks of an episode, computed in full (0 or more).
        memory: policy that retrieves old latents: ``nearest_view`` (the plain model's own rule), ``fov_gate`` (the
            release of the paper: only similar views) or ``coverage`` (only views that add to the recent frames).
        revisit_similarity: similarity, in [0, 1], from which a chunk counts as a revisit; None means the world's own.
            The paper uses 0.7 for HY-WorldPlay and 0.45 for Matrix-Game.
        revisit: policy that measures this similarity: the ``memory`` policy, or ``coverage``.
        window: length of the recent window: ``fixed``, or ``adaptive`` (shorter while latents change a lot).
        window_chunks: most chunks in the recent window (1 or more); None means as many as the world was made for.
        window_kappa: latent change (mean squared difference) that halves an adaptive window, above 0.
        window_smoothing: weight of the newest change in its moving average, above 0 and at most 1.
        memory_groups: most retrieved keyframe groups (0 or more); None means as many as the world was made for.
        memory_threshold: threshold in [0, 1] below which nothing is retrieved; None means the world's own. ``fov_gate``
            compares the best similarity. ``coverage`` compares what a group adds, as a share of what the recent frames
            do not show.
        denoising: ``full`` schedule, or ``shortened`` to the first and the last step in revisits.
        attention: ``dense``, or ``block_sparse`` where that is faster.
        decode_ratio: share of history tiles kept while denoising, above 0 and at most 1.
        context_ratio: share of tiles kept inside the context pass, above 0 and at most 1.
        dense_first_block: whether the first transformer block stays dense.
        reuse_context: change of the camera, in the world's motions per latent, below which keys and values of a context
            latent are kept from the chunk before instead of being computed again (0 or more; 0 keeps none).
        reuse_blocks: change below which the result of a transformer block is reused from the chunk before (0 or more; 0
            reuses none): of the motions, in the world's motions per latent, and of the block's input, as a share of
            its mean absolute value.
        sparse_min_context: context latents from which block-sparse attention is used (0 or more); None means the
            world's own measured crossover.
    """

    name: str = "off"
    warmup_chunks: int = 3
    memory: str = "nearest_view"
    revisit_similarity: float | None = 0.7
    revisit: str = "memory"
    window: str = "fixed"
    window_chunks: int | None = None
    window_kappa: float = 1.0
    window_smoothing: float = 0.5
    memory_groups: int | None = None
    memory_threshold: float | None = 0.7
    denoising: str = "full"
    attention: str = "dense"
    decode_ratio: float = 1.0
    context_ratio: float = 1.0
    dense_first_block: bool = True
    reuse_context: float = 0.0
    reuse_blocks: float = 0.0
    sparse_min_context: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name: {shown(self.name)} is not allowed; use a text, quoted in YAML if it is off or on")
        check_text("name", self.name)
        for key, words in CHOICES.items():
            _check_choice(key, getattr(self, key), words)
        _check_whole("warmup_chunks", self.warmup_chunks, 0)
        for key, least in (("window_chunks", 1), ("memory_groups", 0), ("sparse_min_context", 0)):
            if getattr(self, key) is not None:
                _check_whole(key, getattr(self, key), least)
        for key in ("revisit_similarity", "memory_threshold"):
            if getattr(self, key) is not None:
                _check_number(key, getattr(self, key), "from 0 to 1", lambda value: 0.0 <= value <= 1.0)
        for key in ("window_smoothing", "decode_ratio", "context_ratio"):
            _check_number(key, getattr(self, key), "above 0 and at most 1", lambda value: 0.0 < value <= 1.0)
        for key in ("reuse_context", "reuse_blocks"):
            _check_number(key, getattr(self, key), "from 0 up", lambda value: value >= 0.0 and isfinite(value))
        _check_number("window_kappa", self.window_kappa, "above 0", lambda value: value > 0.0 and isfinite(value))
        if not isinstance(self.dense_first_block, bool):
            raise ValueError(f"dense_first_block: {shown(self.dense_first_block)} is not allowed; use true or false")

    @classmethod
    def preset(cls, name: str) -> AccelConfig:
        """Load a preset that ships with the package.

        Raises:
            ValueError: there is no preset of this name; the message lists the presets.
        """
        _check_choice("preset", name, preset_names())
        return cls.from_dict(parse_yaml((_preset_folder() / f"{name}.yaml").read_text(encoding="utf-8"), name))

    @classmethod
    def of(cls, preset: AccelConfig | str | Path | Mapping[str, Any]) -> AccelConfig:
        """Return settings given in any form.

        Args:
            preset: an `AccelConfig`; the name of a preset; the path of a YAML or JSON file (a text that ends in
                ``.yaml``, ``.yml`` or ``.json``, or a `Path`); a mapping of keys to values, or such a mapping as text
                in braces, as a command line has it: ``{memory: coverage, memory_groups: 2}``. A missing key takes
                the value of the plain model. Settings without a ``name`` take the name of their file, or ``custom``.

        Raises:
            ValueError: no such preset, a file that cannot be read, unknown keys or values that are not allowed.
        """
        if isinstance(preset, AccelConfig):
            return preset
        if isinstance(preset, Mapping):
            return cls.from_dict({"name": "custom", **preset})
        if isinstance(preset, Path) or (isinstance(preset, str) and preset.endswith(_FILES)):
            data = read_yaml(preset, "preset", "a YAML file of acceleration settings")
            return cls.from_dict({"name": Path(preset).stem, **_mapping(data, str(preset))})
        if isinstance(preset, str) and preset.lstrip().startswith("{"):
            return cls.from_dict({"name": "custom", **_mapping(parse_yaml(preset, "preset"), "preset")})
        if isinstance(preset, str) and preset in preset_names():
            return cls.preset(preset)
        names = preset_names()
        raise ValueError(
            f"preset: {shown(preset)} is not known;{_closest(preset, names)} allowed: {', '.join(names)}, "
            "a YAML file, a mapping of settings, an AccelConfig"
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AccelConfig:
        """Build settings from plain values; a missing key takes its default.

        Raises:
            ValueError: unknown key (with the closest known one) or a value that is not allowed.
        """
        if not isinstance(data, Mapping):
            raise ValueError(f"acceleration settings: {shown(data)} is not a mapping of keys to values")
        known = [entry.name for entry in fields(cls)]
        for key in data:
            if key not in known:
                raise ValueError(
                    f"{shortened(key, 80)}: unknown key;{_closest(key, known)} allowed: {', '.join(known)}"
                )
        return cls(**data)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; ``from_dict`` restores equal settings."""
        return asdict(self)

    def replace(self, **changes: Any) -> AccelConfig:
        """Return a copy with some values changed, validated like new settings."""
        return self.from_dict({**self.to_dict(), **changes})


def preset_names() -> tuple[str, ...]:
    """List the presets that ship with the package, in alphabetical order."""
    names = (entry.name for entry in _preset_folder().iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def _mapping(data: Any, origin: str) -> Mapping[str, Any]:
    """Return settings that were read from a text; an empty text gives none."""
    return {} if data is None else check_mapping(origin, data)


def _preset_folder() -> Any:
    return files("li_env.configs") / "accel"


def _closest(word: object, known: list[str] | tuple[str, ...]) -> str:
    matches = get_close_matches(shortened(word, 80) if isinstance(word, str) else shown(word), known, n=1)
    return f" did you mean {matches[0]!r}?" if matches else ""


def _check_choice(key: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{key}: {shown(value)} is not known;{_closest(value, allowed)} allowed: {', '.join(allowed)}")


def _check_whole(key: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{key}: {shown(value)} is not allowed; use a whole number from {least} up")


def _check_number(key: str, value: Any, allowed: str, test: Callable[[float], bool]) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 1000
    if not (whole or isinstance(value, float)) or not test(value):
        raise ValueError(f"{key}: {shown(value)} is not allowed; use a number {allowed}")
