"""Torch version for machines without a suitable GPU: only the chosen keys are gathered and multiplied."""

from __future__ import annotations

import torch

from li_env.kernels.block_select import TileLists
from li_env.kernels.tile_order import TileLayout

_MOST_GATHERED = 2**24
"""Most key and value elements gathered at a time (64 MiB each in float32): whole chunks need not fit."""


def gathered_block_sparse_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: TileLayout,
    lists: TileLists,
    scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Same result as `naive_block_sparse_attention`, in the type of ``query`` with float32 arithmetic.

    The always-kept keys are shared by all query tiles of a head: one dense product. Of the history each query tile
    gathers its own tiles.
    """
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    output = torch.zeros(query.shape, dtype=query.dtype, device=query.device)
    logsumexp = torch.full(query.shape[:3], -torch.inf, dtype=torch.float32, device=query.device)
    for world, tiles in enumerate(layout.queries.counts):
        if tiles == 0:
            continue
        ranges = [torch.arange(first, stop, device=query.device) for first, stop in layout.always.ranges[world]]
        always = torch.cat(ranges) if ranges else torch.empty(0, dtype=torch.long, device=query.device)
        shared_key = key[world].index_select(1, always).float()
        shared_value = value[world].index_select(1, always).float()
        width = lists.indices.shape[3] * layout.keys.longest * query.shape[3] * query.shape[1]
        step = max(1, min(tiles, _MOST_GATHERED // max(1, width)))
        for first in range(0, tiles, step):
            part = slice(first, min(first + step, tiles))
            rows, row_ok = _tokens(
                layout.queries.starts[world, part], layout.queries.lengths[world, part], layout.queries.longest
            )
            out, lse = _attend(
                query[world][:, rows].float() * factor,
                (shared_key, shared_value),
                _gather(key[world], value[world], layout, lists.indices[world, :, part], world),
            )
            output[world][:, rows[row_ok]] = out[:, row_ok].to(query.dtype)
            logsumexp[world][:, rows[row_ok]] = lse[:, row_ok]
    return output, logsumexp


def _tokens(starts: torch.Tensor, lengths: torch.Tensor, longest: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token numbers [..., longest] of tiles and which of them exist; the others point at the tile's first token."""
    place = torch.arange(longest, device=starts.device)
    inside = place < lengths[..., None]
    return starts.long()[..., None] + torch.where(inside, place, 0), inside


def _gather(
    key: torch.Tensor, value: torch.Tensor, layout: TileLayout, indices: torch.Tensor, world: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Keys and values [H, tiles, n, D] of the listed tiles and which rows of them exist [H, tiles, n]."""
    chosen = indices.long().clamp(min=0)
    lengths = torch.where(indices >= 0, layout.keys.lengths[world][chosen], 0)
    tokens, inside = _tokens(layout.keys.starts[world][chosen], lengths, layout.keys.longest)
    tokens, inside = tokens.flatten(2), inside.flatten(2)
    heads = torch.arange(key.shape[0], device=key.device).view(-1, 1, 1)
    # Absent places repeat a row that may hold anything (a list can be empty): zeros keep 0 * NaN away.
    absent = ~inside[..., None]
    return (
        key[heads, tokens].float().masked_fill(absent, 0),
        value[heads, tokens].float().masked_fill(absent, 0),
        inside,
    )


def _attend(
    query: torch.Tensor,
    shared: tuple[torch.Tensor, torch.Tensor],
    own: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor]:
    """One softmax over shared keys [H, A, D] and own keys [H, tiles, n, D] for scaled queries [H, tiles, rows, D]."""
    shared_key, shared_value = shared
    own_key, own_value, inside = own
    heads, tiles, rows, width = query.shape
    common = (query.reshape(heads, tiles * rows, width) @ shared_key.transpose(-1, -2)).view(heads, tiles, rows, -1)
    local = (query @ own_key.transpose(-1, -2)).masked_fill(~inside[:, :, None], -torch.inf)
    scores = torch.cat([common, local], dim=-1)
    lse = scores.logsumexp(dim=-1)
    # A query without any key has only -inf: exp(-inf - 0) makes its weights, and so its output, zero.
    weights = (scores - lse.clamp(min=torch.finfo(torch.float32).min)[..., None]).exp()
    split = shared_key.shape[1]
    out = weights[..., split:] @ own_value
    mixed = weights[..., :split].reshape(heads, tiles * rows, split) @ shared_value
    return out + mixed.view(heads, tiles, rows, width), lse
