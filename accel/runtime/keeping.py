"""Work of a finished chunk, condensed to what the next chunk may reuse."""

from __future__ import annotations

from dataclasses import replace

from li_env.accel.kept_work import KeptWork, Sharing
from li_env.accel.plan import ChunkPlan
from li_env.accel.runtime.chunk import ChunkResult, GenerationState


def with_reused(plan: ChunkPlan, sharing: Sharing | None) -> ChunkPlan:
    """Return the plan with the blocks that the world has reused."""
    return plan if sharing is None else replace(plan, reused_blocks=tuple(sharing.reused))


def kept_work(state: GenerationState, result: ChunkResult, sharing: Sharing | None) -> KeptWork | None:
    """Return the work that a chunk leaves, None if it shares nothing or has produced numbers that are not finite.

    Args:
        state: the episode before the chunk.
        result: the finished chunk.
        sharing: what the world has written.
    """
    if sharing is None or result.degenerated:
        return None
    before = {} if sharing.before is None else sharing.before.references
    kept = set(result.plan.kept)
    return KeptWork(
        motions=result.motions,
        sigmas=result.plan.sigmas,
        references={index: before[index] if index in kept else len(state.history) - 1 for index in sharing.context},
        context=sharing.context,
        blocks=sharing.blocks,
    )
