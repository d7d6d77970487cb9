"""Attention policies: dense, block-sparse where that is faster, or that of a rival.

Source of the rivals: docs/spec/baselines.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from li_env.accel.config import AccelConfig
from li_env.accel.plan import AttentionPlan, Regime
from li_env.accel.world_spec import WorldSpec

DENSE = AttentionPlan()


class AttentionPolicy(Protocol):
    """Policy that chooses the attention of a chunk."""

    def choose(self, regime: Regime, context: int) -> tuple[AttentionPlan, str]:
        """Return the attention for ``context`` latents, and the reason in words, empty without one."""
        ...


class DenseAttention:
    """Policy of dense attention in every chunk."""

    def __init__(self, spec: WorldSpec, config: AccelConfig) -> None:
        pass

    def choose(self, regime: Regime, context: int) -> tuple[AttentionPlan, str]:
        return DENSE, ""


class BlockSparseAttention:
    """Policy of block-sparse attention after the warmup, where the world supports it and the context is long enough."""

    def __init__(self, spec: WorldSpec, config: AccelConfig) -> None:
        self._able = spec.supports_block_sparse
        wanted = config.sparse_min_context
        self._least = max(1, spec.sparse_min_context if wanted is None else wanted)
        self._plan = _tiles("block_sparse", config)
        self._reason = (
            f"attention keeps {config.decode_ratio:.3g} of the history tiles, "
            f"{config.context_ratio:.3g} in the context pass"
        )

    def choose(self, regime: Regime, context: int) -> tuple[AttentionPlan, str]:
        if not self._able:
            return DENSE, "attention is dense because this world has no block-sparse attention"
        if regime == "warmup":
            return DENSE, ""
        if context < self._least:
            return DENSE, f"attention is dense, which is faster below {self._least} context latents"
        return self._plan, self._reason


def _tiles(kind: Literal["block_sparse", "bsa"], config: AccelConfig) -> AttentionPlan:
    """Return attention to selected tiles, as the settings say."""
    return AttentionPlan(
        kind,
        config.decode_ratio,
        config.context_ratio,
        config.dense_first_block,
        "cosine" if config.tile_scores == "cosine" else "product",
        dense_blocks=config.dense_blocks,
        dense_steps=config.dense_steps,
    )


class _Rival:
    """Policy of a rival in every chunk after the warmup: a rival is measured where it is slower too.

    Raises:
        ValueError: the world cannot run it.
    """

    def __init__(self, spec: WorldSpec, plan: AttentionPlan, reason: str) -> None:
        if not spec.supports_rival_attention:
            raise ValueError(
                f"attention: {plan.kind!r} does not fit world {spec.name!r}, whose model cannot run it; "
                f"allowed: {', '.join(spec.attention_kinds)}"
            )
        self._plan, self._reason = plan, reason

    def choose(self, regime: Regime, context: int) -> tuple[AttentionPlan, str]:
        return (DENSE, "") if regime == "warmup" or context == 0 else (self._plan, self._reason)


def _bsa(spec: WorldSpec, config: AccelConfig) -> AttentionPolicy:
    """Return LongCat's block-sparse attention: the best tiles of history and current chunk together."""
    plan = _tiles("bsa", config)
    return _Rival(spec, plan, f"attention keeps {config.decode_ratio:.3g} of all tiles, the chunk's own among them")


def _svg(spec: WorldSpec, config: AccelConfig) -> AttentionPolicy:
    """Return Sparse VideoGen: every head attends to near frames, or to near places in all frames."""
    plan = AttentionPlan(
        "svg",
        dense_first_block=config.dense_first_block,
        band_width=config.band_width,
        dense_blocks=config.dense_blocks,
        dense_steps=config.dense_steps,
    )
    return _Rival(spec, plan, f"each head attends to a band of {config.band_width:.3g} frames in time or in place")


ATTENTION_POLICIES: dict[str, Callable[[WorldSpec, AccelConfig], AttentionPolicy]] = {
    "dense": DenseAttention,
    "block_sparse": BlockSparseAttention,
    "bsa": _bsa,
    "svg": _svg,
}
"""Policies by the name that `AccelConfig.attention` uses."""
