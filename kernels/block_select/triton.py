"""Triton version of the selection: one launch each for tile means, for scores, and for choice and sorted lists.

The k-th best score of a row is found by building its ordered bit pattern from the top bit down, 32 counts over the
row; everything above it is kept, ties in order of their number. No sort, no atomics, no word to the host, so the
kernels can be captured in a graph. Choosing runs in small programs of one row each: together with the products of the
scores a program would need so many registers that one fills a multiprocessor.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from li_env.kernels.block_select.lists import SelectionPlan, TileLists
from li_env.kernels.tile_order import TileTable
from li_env.kernels.tile_order.tables import block_of

MOST_TILES = 2048
"""Most key tiles per batch entry that the selection kernel takes: a row of scores must fit in registers."""


@triton.jit(do_not_specialize=["heads", "tiles"])
def tile_means_kernel(
    x, entries, means, stride_b, stride_h, heads, tiles,
    WIDTH: tl.constexpr, PADDED_WIDTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Run one program per (tile, batch entry and head)."""
    tile = tl.program_id(0)
    b = tl.program_id(1) // heads
    head = tl.program_id(1) % heads
    entry = tl.load(entries + b * tiles + tile)
    start = entry >> 8
    length = entry & 255
    row = tl.arange(0, BLOCK)
    column = tl.arange(0, PADDED_WIDTH)
    # 64-bit arithmetic once per tile, not once per element.
    source = x + b.to(tl.int64) * stride_b + head.to(tl.int64) * stride_h + start.to(tl.int64) * WIDTH
    mask = (row < length)[:, None] & (column < WIDTH)[None, :]
    values = tl.load(source + (row[:, None] * WIDTH + column[None, :]), mask=mask, other=0.0).to(tl.float32)
    mean = tl.sum(values, axis=0) / tl.maximum(length, 1).to(tl.float32)
    offset = (tl.program_id(1) * tiles + tile).to(tl.int64) * WIDTH
    tl.store(means + offset + column, mean, mask=column < WIDTH)


@triton.jit(do_not_specialize=["query_tiles", "key_tiles"])
def block_scores_kernel(
    query_means, key_means, scores, query_tiles, key_tiles, scale,
    WIDTH: tl.constexpr, PADDED_WIDTH: tl.constexpr, STEP: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Run one program per (``COLUMNS`` key tiles, ``ROWS`` query tiles, batch entry and head), in true float32."""
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    row_ok = row < query_tiles
    column_ok = column < key_tiles
    query_base = query_means + tl.program_id(2).to(tl.int64) * query_tiles * WIDTH
    key_base = key_means + tl.program_id(2).to(tl.int64) * key_tiles * WIDTH
    total = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for first in range(0, PADDED_WIDTH, STEP):
        channel = first + tl.arange(0, STEP)
        channel_ok = channel < WIDTH
        q = tl.load(
            query_base + row[:, None] * WIDTH + channel[None, :], mask=row_ok[:, None] & channel_ok[None, :], other=0.0
        )
        k = tl.load(
            key_base + column[:, None] * WIDTH + channel[None, :],
            mask=column_ok[:, None] & channel_ok[None, :],
            other=0.0,
        )
        total = tl.dot(q, tl.trans(k), total, input_precision="ieee")
    offset = (tl.program_id(2) * query_tiles + row[:, None]).to(tl.int64) * key_tiles + column[None, :]
    tl.store(scores + offset, total * scale, mask=row_ok[:, None] & column_ok[None, :])


@triton.jit(do_not_specialize=["heads", "query_tiles", "key_tiles", "width"])
def block_select_kernel(
    all_scores, entries, kept, protected, indices, counts, packed, full_counts,
    heads, query_tiles, key_tiles, width,
    COLUMNS: tl.constexpr, BLOCK: tl.constexpr, PROTECTED: tl.constexpr,
):  # fmt: skip
    """Run one program per (query tile, batch entry and head); ``COLUMNS`` covers all key tiles."""
    row = tl.program_id(0)
    b = tl.program_id(1) // heads
    line = (tl.program_id(1) * query_tiles + row).to(tl.int64)
    column = tl.arange(0, COLUMNS)
    column_ok = column < key_tiles
    scores = tl.load(all_scores + line * key_tiles + column, mask=column_ok, other=0.0)
    scores = tl.where(scores == 0.0, 0.0, scores)  # -0.0 ties with 0.0
    scores = tl.where(scores == scores, scores, float("-inf"))

    # Order-preserving unsigned pattern: negative floats flip all bits, the others the sign bit. 0 means "no tile".
    bits = scores.to(tl.int32, bitcast=True)
    pattern = tl.where(bits < 0, ~bits, bits ^ -2147483648).to(tl.uint32, bitcast=True)
    entry = tl.load(entries + b * key_tiles + column, mask=column_ok, other=0)
    if PROTECTED:
        offset = (b * query_tiles + row).to(tl.int64) * key_tiles + column
        guard = tl.load(protected + offset, mask=column_ok, other=0)
        pattern = tl.where(guard != 0, 0xFFFFFFFF, pattern).to(tl.uint32)
    pattern = tl.where(entry > 0, pattern, 0).to(tl.uint32)

    wanted = tl.load(kept + b * query_tiles + row)
    threshold = tl.zeros((), dtype=tl.uint32)
    for step in tl.static_range(32):
        trial = threshold | (tl.full((), 1, tl.uint32) << (31 - step))
        reached = tl.sum((pattern >= trial).to(tl.int32), axis=0)
        threshold = tl.where(reached >= wanted, trial, threshold)
    above = (pattern > threshold).to(tl.int32)
    tied = (pattern == threshold).to(tl.int32)
    room = wanted - tl.sum(above, axis=0)
    chosen = above | (tied & (tl.cumsum(tied, axis=0) <= room).to(tl.int32))

    full = chosen & ((entry & 255) == BLOCK).to(tl.int32)
    full_count = tl.sum(full, axis=0)
    rank_any = tl.cumsum(chosen, axis=0) - 1
    rank_full = tl.cumsum(full, axis=0) - 1
    # Partial tiles come after the full ones: rank among chosen minus rank among full, shifted by the full count.
    rank_kernel = tl.where(full != 0, rank_full, full_count + rank_any - rank_full - 1)
    base = line * width
    tl.store(indices + base + rank_any, column, mask=chosen != 0)
    tl.store(packed + base + rank_kernel, entry, mask=chosen != 0)
    rest = (column >= wanted) & (column < width)
    tl.store(indices + base + column, tl.full((COLUMNS,), -1, tl.int32), mask=rest)
    tl.store(packed + base + column, tl.zeros((COLUMNS,), tl.int32), mask=rest)
    tl.store(counts + line, wanted)
    tl.store(full_counts + line, full_count)


def triton_tile_means(x: torch.Tensor, table: TileTable) -> torch.Tensor:
    """Return the result of `naive_tile_means`; ``x`` needs contiguous rows."""
    batch, heads, _, width = x.shape
    tiles = table.entries.shape[1]
    means = torch.empty((batch, heads, tiles, width), dtype=torch.float32, device=x.device)
    tile_means_kernel[(tiles, batch * heads)](
        x, table.entries, means, x.stride(0), x.stride(1), heads, tiles,
        WIDTH=width, PADDED_WIDTH=triton.next_power_of_2(width), BLOCK=block_of(table.longest), num_warps=4,
    )  # fmt: skip
    return means


def triton_block_select(query_means: torch.Tensor, key_means: torch.Tensor, plan: SelectionPlan) -> TileLists:
    """Return the result of `naive_block_select`, for at most `MOST_TILES` key tiles per batch entry."""
    batch, heads, query_tiles, width = query_means.shape
    key_tiles = key_means.shape[2]
    lines = (batch, heads, query_tiles)
    device = query_means.device
    lists = TileLists(
        indices=torch.empty((*lines, plan.width), dtype=torch.int32, device=device),
        counts=torch.empty(lines, dtype=torch.int32, device=device),
        entries=torch.empty((*lines, plan.width), dtype=torch.int32, device=device),
        full_counts=torch.empty(lines, dtype=torch.int32, device=device),
    )
    guard = plan.protected
    scores = torch.empty((batch * heads, query_tiles, key_tiles), dtype=torch.float32, device=device)
    rows, columns = 32, 64
    block_scores_kernel[(triton.cdiv(key_tiles, columns), triton.cdiv(query_tiles, rows), batch * heads)](
        query_means, key_means, scores, query_tiles, key_tiles, width**-0.5,
        WIDTH=width, PADDED_WIDTH=max(16, triton.next_power_of_2(width)), STEP=16, ROWS=rows, COLUMNS=columns,
        num_warps=4,
    )  # fmt: skip
    columns = max(32, triton.next_power_of_2(max(key_tiles, plan.width)))
    block_select_kernel[(query_tiles, batch * heads)](
        scores, plan.layout.keys.entries, plan.kept, plan.kept if guard is None else guard.view(torch.uint8),
        lists.indices, lists.counts, lists.entries, lists.full_counts,
        heads, query_tiles, key_tiles, plan.width,
        COLUMNS=columns, BLOCK=plan.layout.block, PROTECTED=guard is not None,
        num_warps=1 if columns <= 512 else columns // 512,
    )  # fmt: skip
    return lists
