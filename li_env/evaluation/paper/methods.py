"""Methods of the paper's tables and figures: presets, presets with a part left out, and sweeps over one key."""

from __future__ import annotations

from dataclasses import dataclass

from li_env.accel.config import AccelConfig, preset_names
from li_env.accel.planning.parts import PARTS as LEFT_OUT
from li_env.accel.planning.planner import Planner
from li_env.accel.world import BaseWorld

ALL, OFF = "all", "off"

PARTS = ("temporal", "spatial", "context", "cache", "sparse", ALL)
"""Presets of table 2, as far as they exist: each part of the method alone, then all parts."""

RATIOS = (0.175, 0.35, 0.6, 1.0)
"""Retained ratios of figure 5: share of tiles that block-sparse attention keeps."""

THRESHOLDS = {"memory_threshold": (0.1, 0.3, 0.5), "revisit_similarity": (0.3, 0.7, 0.9)}
"""Keys and values of figures 6 and 7."""

WITHOUT = {**LEFT_OUT, "context": {**LEFT_OUT["context"], "memory_threshold": AccelConfig().memory_threshold}}
"""What each part of ``all`` becomes when it is left out (table 3)."""

REUSE = {"reuse_context": {"reuse_context": 0.5}, "reuse_blocks": {"reuse_blocks": 0.3}}
"""Work shared between chunks, added to ``off``: not a preset, because it pays only while the camera stands."""


@dataclass(frozen=True)
class Methods:
    """Methods that fit a world, by label; `OFF` comes first.

    Attributes:
        configs: the settings of every label.
        table: labels of table 1.
        refused: labels that do not fit, with the reason.
    """

    configs: dict[str, AccelConfig]
    table: tuple[str, ...]
    refused: dict[str, str]


def methods_of(world: BaseWorld) -> Methods:
    """List the methods of a world: every preset, `REUSE`, `WITHOUT` and the sweeps."""
    names = [OFF, *(name for name in preset_names() if name not in (OFF, ALL)), ALL]
    off, whole = AccelConfig.preset(OFF), AccelConfig.preset(ALL)
    given = {name: AccelConfig.preset(name) for name in names}
    given |= {name: off.replace(**changes) for name, changes in REUSE.items()}
    table = tuple(given)
    given |= {without(part): whole.replace(**changes) for part, changes in WITHOUT.items()}
    if world.spec.supports_block_sparse:
        sparse = AccelConfig.preset("sparse").replace(sparse_min_context=0)
        given |= {
            swept("retained_ratio", ratio): sparse.replace(decode_ratio=ratio, context_ratio=ratio) for ratio in RATIOS
        }
    for key, values in THRESHOLDS.items():
        given |= {swept(key, value): whole.replace(**{key: value}) for value in values}
    configs: dict[str, AccelConfig] = {}
    refused: dict[str, str] = {}
    for label, config in given.items():
        try:
            Planner(world.spec, config, world.view_overlap)
        except ValueError as error:
            refused[label] = str(error)
        else:
            configs[label] = config.replace(name=label)
    return Methods(configs, tuple(label for label in table if label in configs), refused)


def without(part: str) -> str:
    """Return the label of ``all`` without a part."""
    return f"{ALL} without {part}"


def swept(key: str, value: float) -> str:
    """Return the label of a value of a sweep."""
    return f"{key}={value:g}"
