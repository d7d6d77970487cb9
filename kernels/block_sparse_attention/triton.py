"""Triton version of block-sparse attention (flash style, one program per world, head and query tile).

A program first walks over all key blocks that are full (always-kept ranges, then listed tiles) in one loop without a
mask, then over the few partial ones with pointer loads that never touch a row outside of a tile. On chips with a tensor
memory accelerator the first loop loads whole blocks by descriptor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl

from li_env.kernels.block_select import TileLists
from li_env.kernels.tile_order import TileLayout
from li_env.kernels.tile_order.tables import block_of


@triton.jit
def _block_start(number, always, always_full, listed, SPLIT: tl.constexpr, COLUMNS: tl.constexpr):
    """First token of the full block ``number``: always-kept ranges first, then the listed tiles."""
    piece = number // SPLIT
    entry = tl.load(tl.where(piece < always_full, always + piece, listed + (piece - always_full)))
    return (entry >> 8) + (number % SPLIT) * COLUMNS


@triton.jit
def _softmax_step(scores, top, total, scale):
    """Online softmax in base 2: new maximum, weights, and the factor by which earlier sums shrink."""
    new_top = tl.maximum(top, tl.max(scores, axis=1) * scale)
    weights = tl.exp2(scores * scale - new_top[:, None])
    shrink = tl.exp2(top - new_top)
    return new_top, weights, shrink, total * shrink + tl.sum(weights, axis=1)


@triton.jit
def block_sparse_attention_kernel(
    query, key, value, key_blocks, value_blocks, output, logsumexp,
    query_entries, always_entries, always_counts, list_entries, list_counts, full_counts,
    query_stride_b, query_stride_h, key_stride_b, key_stride_h, value_stride_b, value_stride_h,
    key_rows_b, key_rows_h, value_rows_b, value_rows_h,
    heads, query_tiles, query_tokens, always_width, list_width, scale,
    WIDTH: tl.constexpr, PADDED_WIDTH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    ROW_SPLIT: tl.constexpr, COLUMN_SPLIT: tl.constexpr, DESCRIPTORS: tl.constexpr, SPECIALIZE: tl.constexpr,
    STAGES: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One program per (part of a query tile, world and head)."""
    tile = tl.program_id(0) // ROW_SPLIT
    part = tl.program_id(0) % ROW_SPLIT
    world = tl.program_id(1) // heads
    head = tl.program_id(1) % heads
    entry = tl.load(query_entries + world * query_tiles + tile)
    first = (entry >> 8) + part * ROWS
    length = (entry & 255) - part * ROWS
    if length <= 0:  # a world with fewer query tiles, or a short tile whose second half is empty
        return

    row = tl.arange(0, ROWS)
    column = tl.arange(0, COLUMNS)
    channel = tl.arange(0, PADDED_WIDTH)
    channel_ok = channel < WIDTH
    key_base = key + world.to(tl.int64) * key_stride_b + head.to(tl.int64) * key_stride_h
    value_base = value + world.to(tl.int64) * value_stride_b + head.to(tl.int64) * value_stride_h
    query_base = query + world.to(tl.int64) * query_stride_b + head.to(tl.int64) * query_stride_h
    # Where the head's first row stands when the whole tensor is seen as one list of rows.
    key_row = world * key_rows_b + head * key_rows_h
    value_row = world * value_rows_b + head * value_rows_h

    row_mask = (row < length)[:, None] & channel_ok[None, :]
    row_offset = (first + row).to(tl.int64)[:, None] * WIDTH + channel[None, :]
    q = tl.load(query_base + row_offset, mask=row_mask, other=0.0)

    top = tl.full((ROWS,), float("-inf"), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    acc = tl.zeros((ROWS, PADDED_WIDTH), tl.float32)

    line = (tl.program_id(1) * query_tiles + tile).to(tl.int64)
    always = always_entries + world * always_width
    always_full = tl.load(always_counts + world * 2)
    always_all = tl.load(always_counts + world * 2 + 1)
    listed = list_entries + line * list_width
    listed_full = tl.load(full_counts + line)
    listed_all = tl.load(list_counts + line)

    blocks = (always_full + listed_full) * COLUMN_SPLIT
    if blocks > 0:
        # The next block's place is read one iteration ahead: the loads wait for no list.
        start = _block_start(0, always, always_full, listed, COLUMN_SPLIT, COLUMNS)
        for number in tl.range(0, blocks, num_stages=STAGES, warp_specialize=SPECIALIZE):
            if DESCRIPTORS:
                k = key_blocks.load([key_row + start, 0])
                scores = tl.dot(q, k.T, input_precision=PRECISION)
            else:
                place = (start + column).to(tl.int64)[None, :] * WIDTH + channel[:, None]
                k = tl.load(key_base + place, mask=channel_ok[:, None], other=0.0)
                scores = tl.dot(q, k, input_precision=PRECISION)
            top, weights, shrink, total = _softmax_step(scores, top, total, scale)
            acc = acc * shrink[:, None]
            if DESCRIPTORS:
                v = value_blocks.load([value_row + start, 0])
            else:
                place = (start + column).to(tl.int64)[:, None] * WIDTH + channel[None, :]
                v = tl.load(value_base + place, mask=channel_ok[None, :], other=0.0)
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
            place = ((entry >> 8) + shift + column).to(tl.int64) * WIDTH
            inside = column < rest
            k = tl.load(
                key_base + place[None, :] + channel[:, None], mask=inside[None, :] & channel_ok[:, None], other=0.0
            )
            scores = tl.dot(q, k, input_precision=PRECISION)
            scores = tl.where(inside[None, :], scores, float("-inf"))
            top, weights, shrink, total = _softmax_step(scores, top, total, scale)
            acc = acc * shrink[:, None]
            v = tl.load(
                value_base + place[:, None] + channel[None, :], mask=inside[:, None] & channel_ok[None, :], other=0.0
            )
            acc = tl.dot(weights.to(v.dtype), v, acc, input_precision=PRECISION)

    # No key at all: total is 0, the output 0 and the log-sum-exp -inf.
    acc = acc / tl.where(total == 0.0, 1.0, total)[:, None]
    output_row = (tl.program_id(1) * query_tokens).to(tl.int64)
    tl.store(output + output_row * WIDTH + row_offset, acc.to(output.dtype.element_ty), mask=row_mask)
    lse = tl.where(total == 0.0, float("-inf"), (top + tl.log2(total)) * 0.6931471805599453)
    tl.store(logsumexp + output_row + first + row, lse, mask=row < length)


@dataclass(frozen=True)
class KernelConfig:
    """How the kernel is cut and compiled.

    Attributes:
        rows, columns: queries and keys per step; at most the block sizes of the tables.
        warps, stages: warps per program, depth of the software pipeline.
        descriptors: load full blocks through the tensor memory accelerator (compute capability 9.0 and newer).
        specialize: let the compiler split loading and arithmetic between warps.
        registers: cap per thread, None for the compiler's choice.
    """

    rows: int
    columns: int
    warps: int
    stages: int
    descriptors: bool = False
    specialize: bool = False
    registers: int | None = None


CONFIGS: dict[str, KernelConfig] = {
    "pointer-128x128": KernelConfig(128, 128, 8, 2),
    "pointer-128x64": KernelConfig(128, 64, 8, 3),
    "pointer-128x64-pair": KernelConfig(128, 64, 8, 2, registers=128),
    "descriptor-128x128": KernelConfig(128, 128, 8, 2, descriptors=True),
    "descriptor-128x64": KernelConfig(128, 64, 8, 3, descriptors=True),
    "descriptor-128x64-pair": KernelConfig(128, 64, 8, 2, descriptors=True, registers=128),
    "descriptor-64x64": KernelConfig(64, 64, 4, 3, descriptors=True),
    "specialized-128x128": KernelConfig(128, 128, 8, 2, descriptors=True, specialize=True),
    "small-64x64": KernelConfig(64, 64, 4, 2),
    "small-64x32": KernelConfig(64, 32, 4, 2),
    "exact-32x32": KernelConfig(32, 32, 4, 2),
}
"""Named variants: what `default_config` chooses from and what the benchmark compares."""


def default_config(capability: tuple[int, int], width: int, dtype: torch.dtype) -> str:
    """Name of the variant for a chip, head width and type."""
    if dtype == torch.float32:
        return "exact-32x32"  # true float32 products: no matrix units, small blocks
    if capability[0] in (9, 10):
        return "descriptor-128x128"
    if capability in ((8, 0), (8, 7)):
        return "pointer-128x64"
    return "small-64x64" if width <= 64 else "small-64x32"  # consumer chips: about 99 KiB of shared memory


def triton_block_sparse_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: TileLayout,
    lists: TileLists,
    scale: float | None = None,
    config: str | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Same result as `naive_block_sparse_attention`, output in the type of ``query``.

    Args:
        query, key, value, layout, lists, scale: as there; checked by the caller.
        config: a name in `CONFIGS`; default by chip.
    """
    batch, heads, tokens, width = query.shape
    capability = torch.cuda.get_device_capability(query.device) if query.is_cuda else (8, 0)
    chosen = CONFIGS[config or default_config(capability, width, query.dtype)]
    # Rows that no tile covers are never written by the kernel.
    whole = all(covered == tokens for covered in layout.queries.covered)
    output = (torch.empty if whole else torch.zeros)(
        (batch, heads, tokens, width), dtype=query.dtype, device=query.device
    )
    logsumexp = torch.full((batch, heads, tokens), -torch.inf, dtype=torch.float32, device=query.device)
    arguments, options = kernel_arguments(query, key, value, layout, lists, chosen, output, logsumexp, scale)
    row_blocks = layout.queries.entries.shape[1] * options["ROW_SPLIT"]
    block_sparse_attention_kernel[(row_blocks, batch * heads)](*arguments, **options)
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
    """Positional arguments, and compile-time options by name."""
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
        "SPECIALIZE": config.specialize and descriptors,
        "STAGES": config.stages,
        "PRECISION": "ieee",
        "num_warps": config.warps,
    }
    if config.registers is not None:
        options["maxnreg"] = config.registers
    return arguments, options


def descriptors_fit(x: torch.Tensor) -> bool:
    """Whether the rows of ``x`` can be loaded by descriptor: 16-byte rows and a base to match."""
    return x.shape[3] * x.element_size() % 16 == 0 and x.data_ptr() % 16 == 0 and _row_count(x) < 2**31


def _row_count(x: torch.Tensor) -> int:
    """Rows between the first and the last element of ``x`` [B, H, S, D]."""
    return sum((size - 1) * stride for size, stride in zip(x.shape[:3], x.stride()[:3], strict=True)) // x.shape[3] + 1


def _row_blocks(x: torch.Tensor, rows: int, padded: int) -> Any:
    """Descriptor of ``x`` [B, H, S, D] seen as one list of rows; columns past D read as zeros."""
    from triton.tools.tensor_descriptor import TensorDescriptor

    width = x.shape[3]
    return TensorDescriptor(x, [_row_count(x), width], [width, 1], [rows, padded])
