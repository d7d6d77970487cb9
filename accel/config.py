"""Settings of the acceleration: validated, frozen, with presets from ``configs/accel/*.yaml``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
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
    "denoising": ("full", "shortened", "per_regime"),
    "attention": ("dense", "block_sparse", "bsa", "svg"),
    "tile_scores": ("product", "cosine"),
}
"""Allowed words of the keys that take a word."""

WorldValues = tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]
"""Values of keys by world name, as `AccelConfig.worlds` keeps them; a mapping of mappings is accepted."""


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
        window_kappa: latent change (mean squared difference) that halves an adaptive window, above 0; None means the
            world's own, as ``li-env calibrate window`` measures it.
        window_smoothing: weight of the newest change in its moving average, above 0 and at most 1.
        memory_groups: most retrieved keyframe groups (0 or more); None means as many as the world was made for.
        memory_threshold: threshold in [0, 1] below which nothing is retrieved; None means the world's own. ``fov_gate``
            compares the best similarity. ``coverage`` compares what a group adds, as a share of what the recent frames
            do not show.
        memory_sink: latents of the episode's first keyframe group, its sink, that ``coverage`` retrieves in every
            chunk: 0 or more, spread evenly, at most the whole group. A sink takes the place of one of the
            ``memory_groups``; None means the world's own. In a scan there is none.
        memory_group_latents: latents of a retrieved group that ``coverage`` brings into the context while exploring (1
            or more, spread evenly, at most the whole group); None means all of them, as in revisits.
        denoising: ``full`` schedule, or ``shortened`` to the first and the last step in revisits, or ``per_regime``:
            the world's own schedules for exploring and for revisits, or ``shortened`` where it has none.
        attention: ``dense``, or ``block_sparse`` where that is faster, or that of a rival: ``bsa`` (LongCat's
            block-sparse attention) or ``svg`` (Sparse VideoGen).
        decode_ratio: share of history tiles kept while denoising, above 0 and at most 1; in ``bsa`` the tiles of the
            current chunk are among those that are chosen from.
        context_ratio: share of tiles kept inside the context pass, above 0 and at most 1.
        tile_scores: score of a tile: scalar ``product`` of the means, or their ``cosine``.
        band_width: half of the width of the band in ``svg``, in frames, above 0.
        dense_first_block: whether the first transformer block stays dense.
        dense_blocks: transformer blocks in front that stay dense (0 or more).
        dense_steps: denoising steps in front that stay dense (0 or more).
        reuse_threshold: change of the model's input, 0 or more, below which a denoising step reuses what the last
            computed step added (TeaCache); None computes every step.
        reuse_context: change of the camera, in the world's motions per latent, below which keys and values of a context
            latent are kept from the chunk before instead of being computed again (0 or more; 0 keeps none).
        reuse_blocks: change below which the result of a transformer block is reused from the chunk before (0 or more; 0
            reuses none): of the motions, in the world's motions per latent, and of the block's input, as a share of
            its mean absolute value.
        sparse_min_context: context latents from which block-sparse attention is used (0 or more); None means the
            world's own measured crossover.
        cost_model: whether an environment leaves out parts that save no time with its number of episodes, as ``li-env
            calibrate cost`` has measured on this device; without such a measurement nothing is left out.
        worlds: other values of these keys in single worlds: a mapping of world names to mappings.
    """

    name: str = "off"
    warmup_chunks: int = 3
    memory: str = "nearest_view"
    revisit_similarity: float | None = 0.7
    revisit: str = "memory"
    window: str = "fixed"
    window_chunks: int | None = None
    window_kappa: float | None = None
    window_smoothing: float = 0.5
    memory_groups: int | None = None
    memory_threshold: float | None = 0.7
    memory_sink: int | None = 0
    memory_group_latents: int | None = None
    denoising: str = "full"
    attention: str = "dense"
    decode_ratio: float = 1.0
    context_ratio: float = 1.0
    dense_first_block: bool = True
    reuse_context: float = 0.0
    reuse_blocks: float = 0.0
    sparse_min_context: int | None = None
    tile_scores: str = "product"
    band_width: float = 2.0
    dense_blocks: int = 0
    dense_steps: int = 0
    reuse_threshold: float | None = None
    cost_model: bool = True
    worlds: WorldValues = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name: {shown(self.name)} is not allowed; use a text, quoted in YAML if it is off or on")
        check_text("name", self.name)
        for key, words in CHOICES.items():
            _check_choice(key, getattr(self, key), words)
        for key in ("warmup_chunks", "dense_blocks", "dense_steps"):
            _check_whole(key, getattr(self, key), 0)
        least_of = {
            **dict.fromkeys(("window_chunks", "memory_group_latents"), 1),
            **dict.fromkeys(("memory_groups", "memory_sink", "sparse_min_context"), 0),
        }
        for key, least in least_of.items():
            if getattr(self, key) is not None:
                _check_whole(key, getattr(self, key), least)
        for key in ("revisit_similarity", "memory_threshold"):
            if getattr(self, key) is not None:
                _check_number(key, getattr(self, key), "from 0 to 1", lambda value: 0.0 <= value <= 1.0)
        for key in ("window_smoothing", "decode_ratio", "context_ratio"):
            _check_number(key, getattr(self, key), "above 0 and at most 1", lambda value: 0.0 < value <= 1.0)
        for key in ("window_kappa", "band_width"):
            if key == "band_width" or getattr(self, key) is not None:
                _check_number(key, getattr(self, key), "above 0", lambda value: value > 0.0 and isfinite(value))
        if self.reuse_threshold is not None:
            allowed = "from 0 up"
            _check_number(
                "reuse_threshold", self.reuse_threshold, allowed, lambda value: value >= 0.0 and isfinite(value)
            )
        for key in ("reuse_context", "reuse_blocks"):
            _check_number(key, getattr(self, key), "from 0 up", lambda value: value >= 0.0 and isfinite(value))
        for key in ("dense_first_block", "cost_model"):
            if not isinstance(getattr(self, key), bool):
                raise ValueError(f"{key}: {shown(getattr(self, key))} is not allowed; use true or false")
        object.__setattr__(self, "worlds", _world_values(self.worlds))
        for world, _ in self.worlds:
            self.in_world(world)

    def in_world(self, world: str) -> AccelConfig:
        """Return the settings that hold in the world of this name: those of ``worlds`` go before the others.

        Raises:
            ValueError: unknown key or a value that is not allowed; the message names the world.
        """
        changes = dict(self.worlds).get(world)
        if changes is None:
            return self
        try:
            return self.from_dict({**self.to_dict(), **dict(changes), "worlds": {}})
        except ValueError as error:
            raise ValueError(f"worlds.{shortened(world, 80)}.{error}") from None

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
        return {**vars(self), "worlds": {world: dict(changes) for world, changes in self.worlds}}

    def replace(self, **changes: Any) -> AccelConfig:
        """Return a copy with some values changed, validated like new settings.

        A changed value holds in every world: ``worlds`` loses its values of that key, unless it is given too.
        """
        kept = {world: {key: value for key, value in own if key not in changes} for world, own in self.worlds}
        kept = {world: own for world, own in kept.items() if own}
        return self.from_dict({**self.to_dict(), "worlds": kept, **changes})


def preset_names() -> tuple[str, ...]:
    """List the presets that ship with the package, in alphabetical order."""
    names = (entry.name for entry in _preset_folder().iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def _mapping(data: Any, origin: str) -> Mapping[str, Any]:
    """Return settings that were read from a text; an empty text gives none."""
    return {} if data is None else check_mapping(origin, data)


def _world_values(given: Any) -> WorldValues:
    """Return other values of keys in single worlds as tuples, which can be hashed."""
    rows = []
    for world, changes in check_mapping("worlds", _as_mapping(given)).items():
        where = f"worlds.{shortened(world, 80)}"
        values = check_mapping(where, _as_mapping(changes))
        for key, value in values.items():
            if key in ("name", "worlds") or isinstance(value, list | dict | set):
                raise ValueError(f"{where}.{shortened(key, 80)}: {shown(value)} is not allowed in a single world")
        rows.append((world, tuple(values.items())))
    return tuple(rows)


def _as_mapping(value: object) -> object:
    """Return the mapping that pairs in a tuple stand for, and anything else as it is."""
    pairs = isinstance(value, tuple) and all(isinstance(each, tuple) and len(each) == 2 for each in value)
    return dict(value) if pairs else value  # type: ignore[call-overload]


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
