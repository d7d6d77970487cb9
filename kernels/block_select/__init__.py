"""Selection of key tiles for every query tile: tile means, scores, protected tiles, the best of the rest."""

from __future__ import annotations

import torch

from li_env.kernels.backend import uses_triton
from li_env.kernels.block_select.lists import SelectionPlan, TileLists, selection_plan, tile_budget, tile_lists
from li_env.kernels.block_select.naive import naive_block_select, naive_tile_means
from li_env.kernels.checks import check_rows
from li_env.kernels.tile_order import TileTable

__all__ = ["SelectionPlan", "TileLists", "block_select", "selection_plan", "tile_budget", "tile_lists", "tile_means"]


def tile_means(x: torch.Tensor, table: TileTable) -> torch.Tensor:
    """Average the tokens of every tile, by true lengths, in float32.

    Args:
        x: [B, H, S, D] in tile order, rows contiguous, bfloat16, float16 or float32.
        table: tiles of the S axis; tokens outside of them are never read.

    Returns:
        float32 [B, H, N, D], zeros past a batch entry's last tile.

    Raises:
        ValueError: shapes, strides or devices that do not fit.
    """
    check_rows("x", x)
    _check_table(x, table)
    if uses_triton(x.device):
        from li_env.kernels.block_select.triton import triton_tile_means

        return triton_tile_means(x, table)
    return naive_tile_means(x, table)


def block_select(query_means: torch.Tensor, key_means: torch.Tensor, plan: SelectionPlan) -> TileLists:
    """Choose key tiles for every (batch entry, head, query tile), without waiting for the GPU.

    Protected tiles come first, then the best by mean(q) . mean(k) / sqrt(D) in float32 until the plan's budget is used;
    of equal scores the lower tile number wins.

    Args:
        query_means: float32 [B, H, Nq, D] from `tile_means` over ``plan.layout.queries``.
        key_means: float32 [B, H, Nk, D] over ``plan.layout.keys``; keep it while the history stays the same.
        plan: from `selection_plan`.

    Returns:
        Lists on the same device.

    Raises:
        ValueError: shapes, types or devices that do not fit.

    Source: arXiv 2605.31158, block-sparse attention; docs/spec/hy_worldplay.md, sections 9.4 and 10.
    """
    for name, means, table in (
        ("query_means", query_means, plan.layout.queries),
        ("key_means", key_means, plan.layout.keys),
    ):
        expected = (table.entries.shape[0], query_means.shape[1], table.entries.shape[1], query_means.shape[-1])
        if means.dtype != torch.float32 or not means.is_contiguous() or tuple(means.shape) != expected:
            raise ValueError(
                f"{name}: {means.dtype} {tuple(means.shape)}: contiguous float32 {expected} is needed (from tile_means)"
            )
        if means.device != table.entries.device:
            raise ValueError(f"{name}: on {means.device}, the plan on {table.entries.device}: one device is needed")
    if uses_triton(query_means.device) and plan.width > 0:
        from li_env.kernels.block_select.triton import MOST_TILES, triton_block_select

        if key_means.shape[2] <= MOST_TILES:
            return triton_block_select(query_means, key_means, plan)
    return naive_block_select(query_means, key_means, plan)


def _check_table(x: torch.Tensor, table: TileTable) -> None:
    if x.shape[0] != table.entries.shape[0] or x.shape[2] < table.extent:
        raise ValueError(
            f"x: shape {tuple(x.shape)}: batch {table.entries.shape[0]} and at least {table.extent} tokens are needed"
        )
    if x.device != table.entries.device:
        raise ValueError(f"x: on {x.device}, the table on {table.entries.device}: one device is needed")
