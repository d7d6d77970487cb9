"""A chunk that reuses work of the chunk before, and leaves its own for the next one.

Keys and values of a context latent are kept before their branches are made, so that they are rotated to the latent's
new position when read. They stay an approximation: the latent's tokens carry features of the camera relative to the
newest latent, and attended to another context, when they were computed.

Such chunks run the plain model, one episode per call: which blocks are reused depends on the episode alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from li_env.accel.kept_work import Sharing
from li_env.accel.plan import ChunkPlan
from li_env.accel.world_spec import WorldSpec
from li_env.worlds.common.block_reuse import BlockReuse
from li_env.worlds.common.transformer import Block, BlockCache, Projections, TransformerConfig
from li_env.worlds.freedoom.dynamics import DynamicsModel
from li_env.worlds.freedoom.sampler import sample_chunk


def sample_shared(
    model: DynamicsModel,
    plan: ChunkPlan,
    sharing: Sharing,
    noise: torch.Tensor,
    planar: torch.Tensor,
    context: torch.Tensor,
    context_planar: torch.Tensor,
) -> torch.Tensor:
    """Denoise one chunk of one episode with dense attention, and write its work into ``sharing``.

    Args:
        model: the dynamics.
        plan: its plan, which says what to reuse.
        sharing: work of the chunk before.
        noise: [1, T, n, C] tokens.
        planar: [1, T, 3], cameras of the chunk.
        context: [1, m, n, C] tokens of views and latents.
        context_planar: [1, m, 3], their cameras.

    Returns:
        Clean latents [1, T, n, C].
    """
    cache = context_keys(model, plan, sharing, context, context_planar)
    cameras = model.cameras(planar, torch.arange(planar.shape[1], device=planar.device))
    blocks = BlockReuse(sharing, plan.reuse_blocks, plan.reused_blocks)

    denoise = partial(model, shared=blocks)
    return sample_chunk(denoise, noise, None, plan.sigmas, cameras, cache)


def kept_bytes(config: TransformerConfig, spec: WorldSpec, dtype: torch.dtype) -> int:
    """Return the bytes that one chunk leaves with the longest context and schedule.

    Every block leaves two projections of each context latent, and its input and result at each denoising step.
    """
    rows, columns = spec.token_grid
    context = 2 * spec.context_latents
    steps = 2 * (len(spec.sigmas) - 1) * spec.chunk_latents
    return config.depth * (context + steps) * rows * columns * config.hidden_size * dtype.itemsize


def context_keys(
    model: DynamicsModel, plan: ChunkPlan, sharing: Sharing, context: torch.Tensor, planar: torch.Tensor
) -> list[BlockCache]:
    """Return keys and values of every block: kept latents first, then those that run through the context pass."""
    count, before = context.shape[1], {} if sharing.before is None else sharing.before.context
    # Views of a scan stand in front of the episode's own latents; they are computed every time.
    latents: list[int | None] = [*[None] * len(plan.views), *plan.context]
    kept = [row for row, latent in enumerate(latents) if latent is not None and latent in plan.kept]
    fresh = [row for row in range(count) if row not in kept]
    slots = torch.arange(-count, 0, device=planar.device)
    blocks: list[Block] = list(model.transformer.double_blocks)  # type: ignore[arg-type]
    prefix = None
    if kept:
        own = [before[index] for index in plan.kept]
        tables = model.cameras(planar[:, kept], slots[kept]).tables
        prefix = [block.branches(_joined(own, number), tables) for number, block in enumerate(blocks)]
    cameras = model.cameras(planar[:, fresh], slots[fresh])
    record: list[Projections] = []
    levels = torch.zeros((1, len(fresh)), device=planar.device)
    tokens = model.tokens(context[:, fresh], cameras)
    computed = model.transformer.context_pass(tokens, levels, cameras.tables, prefix=prefix, record=record)
    _keep(sharing, plan, [latents[row] for row in fresh], record, before)
    if prefix is None:
        return computed
    return [
        (torch.cat((old[0], new[0]), dim=2), torch.cat((old[1], new[1]), dim=2))
        for old, new in zip(prefix, computed, strict=True)
    ]


def _joined(own: Sequence[torch.Tensor], block: int) -> Projections:
    """Join the projections of one block of several latents: two of [1, S, C]."""
    joined = torch.cat([each[block] for each in own], dim=1)
    return joined[:1], joined[1:]


def _keep(
    sharing: Sharing,
    plan: ChunkPlan,
    fresh: Sequence[int | None],
    record: Sequence[Projections],
    before: Any,
) -> None:
    """Write the projections of the episode's own latents into ``sharing``: [depth, 2, n, C] per latent."""
    sharing.context.update({index: before[index] for index in plan.kept})
    stacked = torch.stack([torch.cat(own) for own in record]).unflatten(2, (len(fresh), -1))
    for row, latent in enumerate(fresh):
        if latent is not None:
            # A copy: a kept latent must not hold those that were computed with it.
            sharing.context[latent] = stacked[:, :, row].clone()
