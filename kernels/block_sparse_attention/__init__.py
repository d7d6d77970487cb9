"""Attention of query tiles over always-kept key ranges and chosen key tiles."""

from __future__ import annotations

import torch

from li_env.kernels.backend import uses_triton
from li_env.kernels.block_select import TileLists
from li_env.kernels.block_sparse_attention.configs import CONFIGS, FALLBACK, default_config
from li_env.kernels.block_sparse_attention.gathered import gathered_block_sparse_attention
from li_env.kernels.block_sparse_attention.naive import naive_block_sparse_attention
from li_env.kernels.checks import check_rows
from li_env.kernels.tile_order import TileLayout

__all__ = ["HEAD_WIDTHS", "block_sparse_attention", "block_sparse_attention_with_lse", "naive_block_sparse_attention"]

HEAD_WIDTHS = (32, 128)
"""Fewest and most channels per head, in steps of 8."""


def block_sparse_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: TileLayout,
    lists: TileLists,
    scale: float | None = None,
) -> torch.Tensor:
    """Compute softmax attention where every query tile sees the always-kept ranges and the key tiles in its list.

    With all tiles listed it equals dense attention. Batch entries may have different numbers of query and key
    tiles. Tokens outside of the layout's tiles and ranges are never read and their output rows are 0.

    Args:
        query: [B, H, Sq, D] in tile order, D 32 to 128, bfloat16, float16 or float32, rows contiguous.
        key, value: [B, H, Sk, D] of the same type; history in tile order.
        layout: from `tile_layout`, once per chunk.
        lists: from `block_select` or `tile_lists`.
        scale: factor on the scores, above 0; default 1 / sqrt(D).

    Returns:
        [B, H, Sq, D] in the type of ``query``.

    Raises:
        ValueError: tensors of the wrong shape, type, layout or device. The values in tables and lists were checked when
            they were made; nothing here waits for a GPU.

    Tensors that need gradients take the torch path; the Triton kernel is for inference.

    Source: arXiv 2605.31158; docs/spec/hy_worldplay.md, sections 9.4 and 10.
    """
    return block_sparse_attention_with_lse(query, key, value, layout, lists, scale)[0]


def block_sparse_attention_with_lse(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: TileLayout,
    lists: TileLists,
    scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the attention and the natural log-sum-exp of the scaled scores.

    The log-sum-exp is float32 [B, H, Sq], -inf outside of all tiles.
    """
    _check(query, key, value, layout, lists, scale)
    gradients = torch.is_grad_enabled() and any(x.requires_grad for x in (query, key, value))
    if uses_triton(query.device) and not gradients:
        capability = torch.cuda.get_device_capability(query.device)
        name = default_config(capability, query.shape[3], query.dtype)
        return run_config(name, query, key, value, layout, lists, scale)
    return gathered_block_sparse_attention(query, key, value, layout, lists, scale)


def run_config(
    name: str,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: TileLayout,
    lists: TileLists,
    scale: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run the kernel in a named variant of `configs.CONFIGS` (for tests and benchmarks; arguments are not checked)."""
    config = CONFIGS[name]
    if config.specialized:
        from li_env.kernels.block_sparse_attention.gluon import gluon_block_sparse_attention, gluon_fits

        if gluon_fits(query, key, value, layout):
            return gluon_block_sparse_attention(query, key, value, layout, lists, scale, config)
        config = CONFIGS[FALLBACK]
    from li_env.kernels.block_sparse_attention.triton import triton_block_sparse_attention

    return triton_block_sparse_attention(query, key, value, layout, lists, scale, config)


def _check(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: TileLayout,
    lists: TileLists,
    scale: float | None,
) -> None:
    for name, x in (("query", query), ("key", key), ("value", value)):
        check_rows(name, x)
        if x.dtype != query.dtype or x.device != query.device:
            raise ValueError(
                f"{name}: {x.dtype} on {x.device}: query has {query.dtype} on {query.device}, all must be equal"
            )
    batch, heads, tokens, width = query.shape
    if not HEAD_WIDTHS[0] <= width <= HEAD_WIDTHS[1] or width % 8:
        raise ValueError(
            f"query: head width {width}: allowed are multiples of 8 from {HEAD_WIDTHS[0]} to {HEAD_WIDTHS[1]}"
        )
    if key.shape != value.shape or key.shape[:2] != query.shape[:2] or key.shape[3] != width:
        raise ValueError(f"key {tuple(key.shape)} and value {tuple(value.shape)} do not fit query {tuple(query.shape)}")
    if layout.queries.entries.device != query.device:
        raise ValueError(f"layout: on {layout.queries.entries.device}, query on {query.device}: one device is needed")
    if len(layout.queries.counts) != batch:
        raise ValueError(f"layout: batch of {len(layout.queries.counts)}, query has {batch}")
    last = max([layout.keys.extent, *(stop for ranges in layout.always.ranges for _, stop in ranges)])
    for name, needed, present in (("query", layout.queries.extent, tokens), ("key", last, key.shape[2])):
        if present < needed:
            raise ValueError(f"{name}: {present} tokens: the layout reaches to {needed}")
    expected = (batch, heads, layout.queries.entries.shape[1])
    if tuple(lists.counts.shape) != expected:
        raise ValueError(f"lists: made for (batch, heads, query tiles) {tuple(lists.counts.shape)}, not {expected}")
    if lists.entries.device != query.device:
        raise ValueError(f"lists: on {lists.entries.device}, query on {query.device}: one device is needed")
    if scale is not None and not scale > 0:
        raise ValueError(f"scale={scale!r}: a number above 0 is needed")
