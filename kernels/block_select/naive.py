"""Readable torch version of the selection of key tiles. It runs on any device and never waits for a GPU."""

from __future__ import annotations

import torch

from li_env.kernels.block_select.lists import SelectionPlan, TileLists, make_lists
from li_env.kernels.tile_order import TileTable


def naive_tile_means(x: torch.Tensor, table: TileTable) -> torch.Tensor:
    """Average the tokens of every tile, by true lengths, in float32; zeros past a batch entry's last tile.

    Args:
        x: [B, H, S, D] in tile order.
        table: tiles of the S axis.

    Returns:
        float32 [B, H, N, D].
    """
    batch, heads, _, width = x.shape
    starts, lengths = table.starts.long(), table.lengths.long()
    position = torch.arange(table.longest, device=x.device)
    inside = position < lengths[..., None]
    tokens = torch.where(inside, starts[..., None] + position, 0)
    picked = x[torch.arange(batch, device=x.device)[:, None], :, tokens.view(batch, -1)]  # [B, N * longest, H, D]
    picked = picked.view(batch, -1, table.longest, heads, width).float()
    total = picked.masked_fill(~inside[..., None, None], 0).sum(dim=2)
    return (total / lengths.clamp(min=1)[..., None, None]).transpose(1, 2).contiguous()


def naive_block_select(query_means: torch.Tensor, key_means: torch.Tensor, plan: SelectionPlan) -> TileLists:
    """Keep, per (batch entry, head, query tile), protected tiles and then those with the best score.

    The score is mean(q) . mean(k) / sqrt(D) in float32; of equal scores the lower tile number wins; NaN is worst.

    Args:
        query_means: float32 [B, H, Nq, D].
        key_means: float32 [B, H, Nk, D].
        plan: budgets and protected tiles.

    Source: docs/spec/hy_worldplay.md, section 9.4; true lengths and float32 on purpose (section 10.1, 2 and 3).
    """
    scores = torch.matmul(query_means, key_means.transpose(-1, -2)) / query_means.shape[-1] ** 0.5
    scores = scores.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
    present = plan.layout.keys.entries > 0
    rank = torch.ones(1, 1, 1, 1, dtype=torch.int32, device=scores.device)
    if plan.protected is not None:
        rank = torch.where(plan.protected[:, None], 0, rank)
    rank = torch.where(present[:, None, None], rank, 2).expand(scores.shape)
    # Two stable sorts: by score, then by rank (protected, candidate, absent). Equal ones stay in order of their number.
    by_score = scores.sort(dim=-1, descending=True, stable=True).indices
    order = by_score.gather(-1, rank.gather(-1, by_score).sort(dim=-1, stable=True).indices)[..., : plan.width]
    inside = torch.arange(order.shape[-1], device=order.device) < plan.kept[:, None, :, None]
    return make_lists(order, inside.expand(order.shape), plan.layout)
