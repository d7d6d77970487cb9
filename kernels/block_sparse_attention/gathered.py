"""Torch version for machines without a suitable GPU: only the chosen keys are gathered and multiplied.

Every query attends twice. The always-kept ranges take one dense product per batch entry, without copies. The tiles of
the list take one batch of small products. The two results are joined by their log-sum-exp.
"""

from __future__ import annotations

import torch

from li_env.kernels.block_select import TileLists
from li_env.kernels.block_sparse_attention.rows import row_count
from li_env.kernels.tile_order import TileLayout

_MOST_GATHERED = 2**24
"""Most key elements gathered at a time (64 MiB in float32): those of a whole chunk need not fit."""


def gathered_block_sparse_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: TileLayout,
    lists: TileLists,
    scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the result of `naive_block_sparse_attention`, in the type of ``query`` with float32 arithmetic."""
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    output = torch.zeros(query.shape, dtype=query.dtype, device=query.device)
    logsumexp = torch.full(query.shape[:3], -torch.inf, dtype=torch.float32, device=query.device)
    for b, tiles in enumerate(layout.queries.counts):
        per_tile = max(1, lists.indices.shape[3]) * layout.keys.longest * query.shape[1] * query.shape[3]
        step = max(1, _MOST_GATHERED // per_tile)
        for first in range(0, tiles, step):
            part = slice(first, min(first + step, tiles))
            rows, row_ok = _tokens(layout.queries.entries[b, part], layout.queries.longest)
            queries = query[b][:, rows].float()  # [H, tiles, rows, D]
            out, lse = _over_ranges(queries, key[b], value[b], layout.always.ranges[b], factor)
            if layout.keys.counts[b]:
                listed = _over_tiles(queries, key[b], value[b], layout, lists.indices[b, :, part], b, factor)
                out, lse = _join(out, lse, *listed)
            output[b][:, rows[row_ok]] = out[:, row_ok].to(query.dtype)
            logsumexp[b][:, rows[row_ok]] = lse[:, row_ok]
    return output, logsumexp


def _tokens(entries: torch.Tensor, longest: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token numbers [..., longest] of tiles and a mask of those that exist.

    The others repeat the tile's first token.
    """
    position = torch.arange(longest, device=entries.device)
    inside = position < (entries & 255)[..., None]
    return (entries >> 8).long()[..., None] + torch.where(inside, position, 0), inside


def _over_ranges(
    queries: torch.Tensor, key: torch.Tensor, value: torch.Tensor, ranges: tuple[tuple[int, int], ...], factor: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend from all queries [H, tiles, rows, D] to the same keys."""
    heads, tiles, rows, width = queries.shape
    if not ranges:
        return torch.zeros_like(queries), queries.new_full((heads, tiles, rows), -torch.inf)
    keys, values = (torch.cat([x[:, first:stop] for first, stop in ranges], dim=1).float() for x in (key, value))
    out, lse = _attend(queries.reshape(heads, tiles * rows, width), keys, values, None, factor)
    return out.view(queries.shape), lse.view(heads, tiles, rows)


def _over_tiles(
    queries: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: TileLayout,
    indices: torch.Tensor,
    b: int,
    factor: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend from the queries of every tile to the key tiles in its list [H, tiles, L]."""
    heads, tiles, rows, width = queries.shape
    chosen = torch.where(indices >= 0, layout.keys.entries[b][indices.long().clamp(min=0)], 0)
    tokens, inside = _tokens(chosen, layout.keys.longest)
    tokens, inside = tokens.flatten(2), inside.flatten(2)
    whole = bool(inside.all())
    gathered = []
    for x in (key, value):
        # All heads as one list of rows: copying whole rows by number gathers fastest.
        flat = x.as_strided((row_count(x[None]), width), (width, 1))
        first = torch.arange(heads, device=x.device).view(-1, 1, 1) * (x.stride(0) // width)
        part = flat.index_select(0, (tokens + first).flatten()).view(heads * tiles, -1, width).float()
        # Places without a token repeat a row that may hold anything: zeros keep 0 * NaN away.
        gathered.append(part if whole else part.masked_fill_(~inside.view(heads * tiles, -1, 1), 0))
    mask = None if whole else inside.view(heads * tiles, 1, -1)
    keys, values = gathered
    out, lse = _attend(queries.reshape(heads * tiles, rows, width), keys, values, mask, factor)
    return out.view(queries.shape), lse.view(heads, tiles, rows)


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, factor: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute softmax attention [N, rows, D] over [N, n, D] and its log-sum-exp; rows without a key give 0 and -inf.

    ``mask`` is bool [N, 1, n], true where a key exists.
    """
    if query.device.type == "cpu":
        # The fused kernel behind torch's own attention on the CPU: the public function does not return the log-sum-exp.
        bias = None if mask is None else torch.zeros(mask.shape).masked_fill_(~mask, -torch.inf)[:, None]
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query[:, None], key[:, None], value[:, None], attn_mask=bias, scale=factor
        )
        out, lse = out[:, 0], lse[:, 0]
    else:
        scores = torch.matmul(query * factor, key.transpose(1, 2))
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        lse = scores.logsumexp(dim=-1)
        out = scores.softmax(dim=-1) @ value
    if mask is not None:
        empty = ~mask.any(dim=-1)
        out, lse = out.masked_fill(empty[..., None], 0), lse.masked_fill(empty, -torch.inf)
    return out, lse


def _join(
    out: torch.Tensor, lse: torch.Tensor, other_out: torch.Tensor, other_lse: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Combine attention over two disjoint key sets."""
    total = torch.logaddexp(lse, other_lse)
    base = total.clamp(min=torch.finfo(torch.float32).min)
    share, other_share = ((x - base).exp()[..., None] for x in (lse, other_lse))
    return out * share + other_out * other_share, total
