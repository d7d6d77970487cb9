"""Attention policies: dense, or block-sparse where that is faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

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
        self._plan = AttentionPlan("block_sparse", config.decode_ratio, config.context_ratio, config.dense_first_block)
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


ATTENTION_POLICIES: dict[str, Callable[[WorldSpec, AccelConfig], AttentionPolicy]] = {
    "dense": DenseAttention,
    "block_sparse": BlockSparseAttention,
}
"""Policies by the name that `AccelConfig.attention` uses."""
