"""Parts of a preset that the plain model's decisions can replace: shorter context or schedule, sparse attention."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from li_env.accel.config import AccelConfig
from li_env.accel.world_spec import WorldSpec

_PLAIN = AccelConfig()

_CONTEXT = ("window", "window_chunks", "memory", "memory_groups", "memory_sink", "memory_group_latents")

PARTS: dict[str, dict[str, Any]] = {
    "context": {key: getattr(_PLAIN, key) for key in _CONTEXT},
    "cache": {"denoising": "full"},
    "sparse": {"attention": "dense"},
}
"""What each part becomes when it is left out; parts have the names of the presets that hold them alone."""

WORDS = {"context": "the shorter context", "cache": "the shorter schedule", "sparse": "block-sparse attention"}
"""Parts in words."""


@dataclass(frozen=True)
class LeftOut:
    """Parts that an environment leaves out because they save no time.

    Attributes:
        own: of episodes without a scan.
        scanned: of episodes with a scan.
        where: what was decided for, in words, such as ``with 32 environments on this device``.
    """

    own: tuple[str, ...] = ()
    scanned: tuple[str, ...] = ()
    where: str = ""

    def reason(self, parts: Sequence[str]) -> str:
        """Return why ``parts`` are left out, empty without any."""
        if not parts:
            return ""
        verb = "saves" if len(parts) == 1 else "save"
        return f"{in_words(parts)} {verb} no time {self.where}".rstrip()


def in_words(parts: Sequence[str]) -> str:
    """List parts in words."""
    words = [WORDS[part] for part in parts]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def parts_of(spec: WorldSpec, config: AccelConfig) -> tuple[str, ...]:
    """Return the parts that settings have beside the plain model's decisions; those of a rival are none.

    Settings that reuse work have no parts: what they cost is known only when the work is done.
    """
    if config.reuse_threshold is not None or config.reuse_context or config.reuse_blocks:
        return ()
    found = {
        "context": any(getattr(config, key) != value for key, value in PARTS["context"].items()),
        "cache": config.denoising != "full" and len(spec.sigmas) > 3,
        "sparse": config.attention == "block_sparse" and spec.supports_block_sparse,
    }
    return tuple(part for part, there in found.items() if there)


def without(config: AccelConfig, parts: Iterable[str]) -> AccelConfig:
    """Return settings without some parts.

    The measure of a revisit stays as long as something depends on it; else it is the plain rule's, which takes no time
    of its own.
    """
    changes: dict[str, Any] = {}
    for part in parts:
        changes |= PARTS[part]
    if not changes:
        return config
    if "memory" in changes and config.revisit == "memory" and config.memory == "coverage":
        changes["revisit"] = "coverage"
    left = config.replace(**changes)
    if left.denoising == "full" and left.memory == _PLAIN.memory:
        left = left.replace(revisit=_PLAIN.revisit, revisit_similarity=_PLAIN.revisit_similarity)
    return left
