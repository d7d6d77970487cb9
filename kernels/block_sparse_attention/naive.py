"""Readable float32 version of block-sparse attention: query tile by query tile, head by head."""

from __future__ import annotations

import torch

from li_env.kernels.block_select import TileLists
from li_env.kernels.tile_order import TileLayout


def naive_block_sparse_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: TileLayout,
    lists: TileLists,
    scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute softmax attention of every query tile over the always-kept ranges and the tiles in its list.

    Args:
        query: [B, H, Sq, D] in tile order.
        key, value: [B, H, Sk, D], history in tile order.
        layout, lists: what to attend to.
        scale: factor on the scores; default 1 / sqrt(D).

    Returns:
        Output float32 [B, H, Sq, D] and log-sum-exp of the scaled scores float32 [B, H, Sq]; 0 and -inf outside of all
        query tiles.

    Source: arXiv 2605.31158; docs/spec/hy_worldplay.md, section 9.4, without its padding (section 10.1, 1).
    """
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    output = torch.zeros(query.shape, dtype=torch.float32, device=query.device)
    logsumexp = torch.full(query.shape[:3], -torch.inf, dtype=torch.float32, device=query.device)
    starts, lengths = layout.keys.starts.tolist(), layout.keys.lengths.tolist()
    for b, tiles in enumerate(layout.queries.counts):
        always = [token for first, stop in layout.always.ranges[b] for token in range(first, stop)]
        for tile in range(tiles):
            first = int(layout.queries.starts[b, tile])
            rows = slice(first, first + int(layout.queries.lengths[b, tile]))
            for head in range(query.shape[1]):
                kept = lists.indices[b, head, tile, : int(lists.counts[b, head, tile])].tolist()
                tokens = list(always)
                for index in kept:
                    tokens += range(starts[b][index], starts[b][index] + lengths[b][index])
                if not tokens:
                    continue
                scores = query[b, head, rows].float() @ key[b, head, tokens].float().T * factor
                logsumexp[b, head, rows] = scores.logsumexp(dim=-1)
                output[b, head, rows] = scores.softmax(dim=-1) @ value[b, head, tokens].float()
    return output, logsumexp
