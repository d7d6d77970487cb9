"""Triton version of block-sparse attention (flash style, one program per batch entry, head and query tile).

A program first walks over all key blocks that are full (always-kept ranges, then listed tiles) in one loop without a
mask, then over the few partial ones with pointer loads that never touch a row outside of a tile. On chips with a tensor
memory accelerator the first loop loads whole blocks by descriptor.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

from li_env.kernels.block_select import TileLists
from li_env.kernels.block_sparse_attention.configs import KernelConfig
from li_env.kernels.block_sparse_attention.rows import descriptors_fit, output_tensors, row_count
from li_env.kernels.tile_order import TileLayout
from li_env.kernels.tile_order.tables import block_of


@triton.jit
def _block_start(number, always, always_full, listed, SPLIT: tl.constexpr, COLUMNS: tl.constexpr):
    """Load the first token of the full block ``number``: always-kept ranges first, then the listed tiles."""
    piece = number // SPLIT
    entry = tl.load(tl.where(piece < always_full, always + piece, listed + (piece - always_full)))
    return (entry >> 8) + (number % SPLIT) * COLUMNS


@triton.jit
def _softmax_step(scores, top, total, scale):
    """Update the online softmax in base 2.

    Returns the new maximum, the weights, the factor by which earlier sums shrink, and the new sum.
    """
    new_top = tl.maximum(top, tl.max(scores, axis=1) * scale)
    weights = tl.exp2(scores * scale - new_top[:, None])
    shrink = tl.exp2(top - new_top)
    return new_top, weights, shrink, total * shrink + tl.sum(weights, axis=1)


_COUNTS = ["heads", "query_tiles", "query_tokens", "always_width", "list_width"]
"""Arguments that change from chunk to chunk: compiling again for every multiple of 16 among them would stall."""


@triton.jit(do_not_specialize=_COUNTS)
def block_sparse_attention_kernel(
    query, key, value, key_blocks, value_blocks, output, logsumexp,
    query_entries, always_entries, always_counts, list_entries, list_counts, full_counts,
    query_stride_b, query_stride_h, key_stride_b, key_stride_h, value_stride_b, value_stride_h,
    key_rows_b, key_rows_h, value_rows_b, value_rows_h,
    heads, query_tiles, query_tokens, always_width, list_width, scale,
    WIDTH: tl.constexpr, PADDED_WIDTH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    ROW_SPLIT: tl.constexpr, COLUMN_SPLIT: tl.constexpr, DESCRIPTORS: tl.constexpr, STAGES: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Run one program per (part of a query tile, batch entry and head)."""
    tile = tl.program_id(0) // ROW_SPLIT
    part = tl.program_id(0) % ROW_SPLIT
    b = tl.program_id(1) // heads
    head = tl.program_id(1) % heads
    entry = tl.load(query_entries + b * query_tiles + tile)
    first = (entry >> 8) + part * ROWS
    length = (entry & 255) - part * ROWS
    if length <= 0:  # a batch entry with fewer query tiles, or a short tile whose second half is empty
        return

    row = tl.arange(0, ROWS)
    column = tl.arange(0, COLUMNS)
    channel = tl.arange(0, PADDED_WIDTH)
    channel_ok = channel < WIDTH
    key_base = key + b.to(tl.int64) * key_stride_b + head.to(tl.int64) * key_stride_h
    value_base = value + b.to(tl.int64) * value_stride_b + head.to(tl.int64) * value_stride_h
    query_base = query + b.to(tl.int64) * query_stride_b + head.to(tl.int64) * query_stride_h
    # Where the head's first row stands when the whole tensor is seen as one list of rows.
    key_row = b * key_rows_b + head * key_rows_h
    value_row = b * value_rows_b + head * value_rows_h

    row_mask = (row < length)[:, None] & channel_ok[None, :]
    row_offset = (first + row).to(tl.int64)[:, None] * WIDTH + channel[None, :]
    q = tl.load(query_base + row_offset, mask=row_mask, other=0.0)

    top = tl.full((ROWS,), float("-inf"), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    acc = tl.zeros((ROWS, PADDED_WIDTH), tl.float32)

    line = (tl.program_id(1) * query_tiles + tile).to(tl.int64)
    always = always_entries + b * always_width
    always_full = tl.load(always_counts + b * 2)
    always_all = tl.load(always_counts + b * 2 + 1)
    listed = list_entries + line * list_width
    listed_full = tl.load(full_counts + line)
    listed_all = tl.load(list_counts + line)

    blocks = (always_full + listed_full) * COLUMN_SPLIT
    if blocks > 0:
        # The next block's start is read one iteration ahead, so the loads wait for no list.
        start = _block_start(0, always, always_full, listed, COLUMN_SPLIT, COLUMNS)
        for number in tl.range(0, blocks, num_stages=STAGES):
            if DESCRIPTORS:
                k = key_blocks.load([key_row + start, 0])
                scores = tl.dot(q, k.T, input_precision=PRECISION)
            else:
                offset = (start + column).to(tl.int64)[None, :] * WIDTH + channel[:, None]
                k = tl.load(key_base + offset, mask=channel_ok[:, None], other=0.0)
                scores = tl.dot(q, k, input_precision=PRECISION)
            top, weights, shrink, total = _softmax_step(scores, top, total, scale)
            acc = acc * shrink[:, None]
            if DESCRIPTORS:
                v = value_blocks.load([value_row + start, 0])
            else:
                offset = (start + column).to(tl.int64)[:, None] * WIDTH + channel[None, :]
                v = tl.load(value_base + offset, mask=channel_ok[None, :], other=0.0)
            acc = tl.dot(weights.to(v.dtype), v, acc, input_precision=PRECISION)
            following = tl.minimum(number + 1, blocks - 1)
            start = _block_start(following, always, always_full, listed, COLUMN_SPLIT, COLUMNS)

    always_rest = always_all - always_full
    for number in tl.range(0, (always_rest + listed_all - listed_full) * COLUMN_SPLIT, num_stages=1):
        piece = number // COLUMN_SPLIT
        shift = (number % COLUMN_SPLIT) * COLUMNS
        source = tl.where(piece < always_rest, always + always_full + piece, listed + listed_full + piece - always_rest)
        entry = tl.load(source)
        rest = (entry & 255) - shift
        if rest > 0:
            offset = ((entry >> 8) + shift + column).to(tl.int64) * WIDTH
            inside = column < rest
            k = tl.load(
                key_base + offset[None, :] + channel[:, None], mask=inside[None, :] & channel_ok[:, None], other=0.0
            )
            scores = tl.dot(q, k, input_precision=PRECISION)
            scores = tl.where(inside[None, :], scores, float("-inf"))
            top, weights, shrink, total = _softmax_step(scores, top, total, scale)
            acc = acc * shrink[:, None]
            v = tl.load(
                value_base + offset[:, None] + channel[None, :], mask=inside[:, None] & channel_ok[None, :], other=0.0
            )
            acc = tl.dot(weights.to(v.dtype), v, acc, input_precision=PRECISION)

    # No key at all: total is 0, the output 0 and the log-sum-exp -inf.
    acc = acc / tl.where(total == 0.0, 1.0, total)[:, None]
    output_row = (tl.program_id(1) * query_tokens).to(tl.int64)
    tl.store(output + output_row * WIDTH + row_offset, acc.to(output.dtype.element_ty), mask=row_mask)
    lse = tl.where(
        total == 0.0, float("-inf"), (top + tl.log2(tl.where(total == 0.0, 1.0, total))) * 0.6931471805599453
    )
    tl.store(logsumexp + output_row + first + row, lse, mask=row < length)


def triton_block_sparse_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: TileLayout,
    lists: TileLists,
    scale: float | None,
    config: KernelConfig,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the result of `naive_block_sparse_attention`, output in the type of ``query``; nothing is checked here."""
    output, logsumexp = output_tensors(query, layout)
    arguments, options = kernel_arguments(query, key, value, layout, lists, config, output, logsumexp, scale)
    row_blocks = layout.queries.entries.shape[1] * options["ROW_SPLIT"]
    grid = (row_blocks, query.shape[0] * query.shape[1])
    block_sparse_attention_kernel[grid](*arguments, **options)
    return output, logsumexp


def kernel_arguments(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: TileLayout,
    lists: TileLists,
    config: KernelConfig,
    output: torch.Tensor,
    logsumexp: torch.Tensor,
    scale: float | None,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return positional arguments, and compile-time options by name."""
    _, heads, tokens, width = query.shape
    factor = width**-0.5 if scale is None else scale
    query_block = block_of(layout.queries.longest)
    rows, columns = min(config.rows, query_block), min(config.columns, layout.block)
    padded = max(16, triton.next_power_of_2(width))
    descriptors = config.descriptors and descriptors_fit(key) and descriptors_fit(value)
    key_blocks = _row_blocks(key, columns, padded) if descriptors else key
    value_blocks = _row_blocks(value, columns, padded) if descriptors else value
    arguments = (
        query, key, value, key_blocks, value_blocks, output, logsumexp,
        layout.queries.entries, layout.always.entries, layout.always.counts,
        lists.entries, lists.counts, lists.full_counts,
        query.stride(0), query.stride(1), key.stride(0), key.stride(1), value.stride(0), value.stride(1),
        key.stride(0) // width, key.stride(1) // width, value.stride(0) // width, value.stride(1) // width,
        heads, layout.queries.entries.shape[1], tokens, layout.always.entries.shape[1], lists.entries.shape[3],
        factor * 1.4426950408889634,
    )  # fmt: skip
    options: dict[str, Any] = {
        "WIDTH": width,
        "PADDED_WIDTH": padded,
        "ROWS": rows,
        "COLUMNS": columns,
        "ROW_SPLIT": query_block // rows,
        "COLUMN_SPLIT": layout.block // columns,
        "DESCRIPTORS": descriptors,
        "STAGES": config.stages,
        "PRECISION": "ieee",
        # Few rows cannot feed many warps.
        "num_warps": min(config.warps, max(4, rows // 16)),
    }
    if config.registers is not None:
        options["maxnreg"] = config.registers
    return arguments, options


def _row_blocks(x: torch.Tensor, rows: int, padded: int) -> Any:
    """Describe ``x`` [B, H, S, D] as one list of rows; columns past D read as zeros."""
    from triton.tools.tensor_descriptor import TensorDescriptor

    width = x.shape[3]
    return TensorDescriptor(x, [row_count(x), width], [width, 1], [rows, padded])
