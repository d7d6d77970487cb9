"""Gluon version for Hopper chips: one group of warps loads, two compute.

The plain Triton kernel keeps all its warps in step, so the matrix units idle during every softmax. Here two groups of
four warps own 64 query rows each and meet nobody but the loading group: while one does its softmax, the other
multiplies. Within a group the softmax of a block runs beside the product of the block before it with its values.

Full blocks come through the tensor memory accelerator. Partial ones are copied row by row under a mask that fills the
rest of the block with zeros, so that nothing outside of a tile is ever read.
"""

from __future__ import annotations

import torch
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    async_copy,
    fence_async_shared,
    mbarrier,
    tma,
    warpgroup_mma,
    warpgroup_mma_wait,
)
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

from li_env.kernels.block_select import TileLists
from li_env.kernels.block_sparse_attention.configs import KernelConfig
from li_env.kernels.block_sparse_attention.rows import descriptors_fit, output_tensors, row_count
from li_env.kernels.tile_order import TileLayout
from li_env.kernels.tile_order.tables import block_of

BLOCK = 128
"""Queries per program and keys per step; the layout's blocks must have this size."""

WIDTHS = (64, 128)
"""Head widths that the kernel is written for."""

# The same operation under the names of Triton 3.6 and of 3.7.
_group_barrier = gl.barrier if hasattr(gl, "barrier") else gl.thread_barrier


@gluon.jit
def _entry(number, always, always_full, always_all, listed, listed_full):
    """Load block ``number`` of a program: full always-kept pieces, full listed tiles, then the partial ones of both."""
    full = always_full + listed_full
    rest = number - full
    in_always = always_all - always_full
    offset = gl.where(number < always_full, number, always_full + rest)
    listed_offset = gl.where(number < full, number - always_full, listed_full + rest - in_always)
    from_always = (number < always_full) | ((number >= full) & (rest < in_always))
    return gl.load(gl.where(from_always, always + offset, listed + listed_offset))


@gluon.jit
def _fill_partial(base, buffer, start, length, WIDTH: gl.constexpr):
    """Copy ``length`` rows from ``base`` into a block of shared memory and fill the rest of it with zeros."""
    ROWS: gl.constexpr = 32
    LANES: gl.constexpr = WIDTH // 8
    layout: gl.constexpr = gl.BlockedLayout([1, 8], [32 // LANES, LANES], [4, 1], [1, 0])
    row = gl.arange(0, ROWS, gl.SliceLayout(1, layout))
    channel = gl.arange(0, WIDTH, gl.SliceLayout(0, layout))
    for part in gl.static_range(128 // ROWS):
        token = row + part * ROWS
        source = base + (start + token).to(gl.int64)[:, None] * WIDTH + channel[None, :]
        async_copy.async_copy_global_to_shared(
            buffer.slice(part * ROWS, ROWS), source, mask=(token < length)[:, None] & (channel < WIDTH)[None, :]
        )
    async_copy.commit_group()


@gluon.jit
def _produce(
    query_blocks, key_blocks, value_blocks, key_base, value_base, query_buffer, key_buffer, value_buffer,
    query_ready, key_ready, value_ready, key_free, value_free,
    query_row, key_row, value_row, always, always_full, always_all, listed, listed_full, blocks,
    WIDTH: gl.constexpr, STAGES: gl.constexpr,
):  # fmt: skip
    """Load blocks in the loading warps: K(0), then K(i + 1) and V(i), through rings of ``STAGES`` blocks."""
    mbarrier.expect(query_ready, 2 * query_blocks.block_type.nbytes)
    for part in gl.static_range(2):
        tma.async_copy_global_to_shared(query_blocks, [query_row + part * 64, 0], query_ready, query_buffer.index(part))
    full = always_full + listed_full
    value_entry = 0
    key_entry = _entry(0, always, always_full, always_all, listed, listed_full)
    for number in range(0, blocks + 1):
        following = gl.minimum(number + 1, blocks - 1)
        next_entry = _entry(following, always, always_full, always_all, listed, listed_full)
        if number < blocks:
            slot = number % STAGES
            mbarrier.wait(key_free.index(slot), ((number // STAGES) & 1) ^ 1)
            start = key_entry >> 8
            if number < full:
                mbarrier.expect(key_ready.index(slot), key_blocks.block_type.nbytes)
                tma.async_copy_global_to_shared(
                    key_blocks, [key_row + start, 0], key_ready.index(slot), key_buffer.index(slot)
                )
            else:
                _fill_partial(key_base, key_buffer.index(slot), start, key_entry & 255, WIDTH)
                async_copy.wait_group(0)
                fence_async_shared()
                _group_barrier()
                mbarrier.arrive(key_ready.index(slot), count=1)
        if number > 0:
            before = number - 1
            slot = before % STAGES
            mbarrier.wait(value_free.index(slot), ((before // STAGES) & 1) ^ 1)
            start = value_entry >> 8
            if before < full:
                mbarrier.expect(value_ready.index(slot), value_blocks.block_type.nbytes)
                tma.async_copy_global_to_shared(
                    value_blocks, [value_row + start, 0], value_ready.index(slot), value_buffer.index(slot)
                )
            else:
                _fill_partial(value_base, value_buffer.index(slot), start, value_entry & 255, WIDTH)
                async_copy.wait_group(0)
                fence_async_shared()
                _group_barrier()
                mbarrier.arrive(value_ready.index(slot), count=1)
        value_entry = key_entry
        key_entry = next_entry


@gluon.jit
def _softmax(scores, top, total, scale, length, MASKED: gl.constexpr, layout: gl.constexpr):
    """Update the online softmax in base 2; with ``MASKED`` only the first ``length`` keys count."""
    if MASKED:
        column = gl.arange(0, 128, gl.SliceLayout(0, layout))
        scores = gl.where((column < length)[None, :], scores, float("-inf"))
    new_top = gl.maximum(top, gl.max(scores, axis=1) * scale)
    weights = gl.exp2(scores * scale - new_top[:, None])
    shrink = gl.exp2(top - new_top)
    return new_top, weights, shrink, total * shrink + gl.sum(weights, axis=1)


@gluon.jit
def _advance(
    number, blocks, length, q, key_buffer, value_buffer, key_ready, value_ready, key_free, value_free,
    acc, weights, top, total, scale,
    STAGES: gl.constexpr, MASKED: gl.constexpr, layout: gl.constexpr, acc_layout: gl.constexpr,
    weights_layout: gl.constexpr,
):  # fmt: skip
    """Compute scores of block ``number``, the output of the block before it, then the softmax of block ``number``."""
    slot = number % STAGES
    empty = gl.zeros([64, 128], gl.float32, layout)
    scores = warpgroup_mma(q, key_buffer.index(slot).permute((1, 0)), empty, use_acc=False, is_async=True)
    before = number - 1
    old_slot = before % STAGES
    mbarrier.wait(value_ready.index(old_slot), (before // STAGES) & 1)
    acc = warpgroup_mma(weights, value_buffer.index(old_slot), acc, is_async=True)
    scores = warpgroup_mma_wait(1, deps=[scores])
    mbarrier.arrive(key_free.index(slot), count=1)
    top, new_weights, shrink, total = _softmax(scores, top, total, scale, length, MASKED, layout)
    new_weights = gl.convert_layout(new_weights.to(key_buffer.dtype), weights_layout)
    # The loop of this wait, and the new weights in the next one, keep the assembler from moving the softmax behind the
    # multiplication that it should overlap with.
    following = number + 1
    mbarrier.wait(key_ready.index(following % STAGES), (following // STAGES) & 1, pred=following < blocks)
    acc, weights, new_weights = warpgroup_mma_wait(0, deps=[acc, weights, new_weights])
    mbarrier.arrive(value_free.index(old_slot), count=1)
    shrink = gl.convert_layout(shrink, gl.SliceLayout(1, acc_layout))
    return acc * shrink[:, None], new_weights, top, total


@gluon.jit
def _consume(
    query_buffer, key_buffer, value_buffer, query_ready, key_ready, value_ready, key_free, value_free,
    always, always_full, always_all, listed, listed_full, blocks, output_base, lse_base, rows, scale,
    PART: gl.constexpr, WIDTH: gl.constexpr, STAGES: gl.constexpr,
):  # fmt: skip
    """Compute 64 query rows in four warps: softmax(Q K^T) V over all blocks, then the output rows that exist."""
    layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, 128, 16])
    acc_layout: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, WIDTH, 16])
    weights_layout: gl.constexpr = gl.DotOperandLayout(0, acc_layout, 2)
    q = query_buffer.index(PART)
    top = gl.full([64], float("-inf"), gl.float32, gl.SliceLayout(1, layout))
    total = gl.zeros([64], gl.float32, gl.SliceLayout(1, layout))
    acc = gl.zeros([64, WIDTH], gl.float32, acc_layout)
    full = always_full + listed_full

    mbarrier.wait(query_ready, 0)
    mbarrier.wait(key_ready.index(0), 0)
    empty = gl.zeros([64, 128], gl.float32, layout)
    scores = warpgroup_mma(q, key_buffer.index(0).permute((1, 0)), empty, use_acc=False, is_async=True)
    length = _entry(0, always, always_full, always_all, listed, listed_full) & 255
    scores = warpgroup_mma_wait(0, deps=[scores])
    mbarrier.arrive(key_free.index(0), count=1)
    top, first_weights, _, total = _softmax(scores, top, total, scale, length, True, layout)
    weights = gl.convert_layout(first_weights.to(key_buffer.dtype), weights_layout)
    mbarrier.wait(key_ready.index(1 % STAGES), (1 // STAGES) & 1, pred=blocks > 1)

    for number in range(1, full):
        acc, weights, top, total = _advance(
            number, blocks, 0, q, key_buffer, value_buffer, key_ready, value_ready, key_free, value_free,
            acc, weights, top, total, scale, STAGES, False, layout, acc_layout, weights_layout,
        )  # fmt: skip
    for number in range(gl.maximum(full, 1), blocks):
        length = _entry(number, always, always_full, always_all, listed, listed_full) & 255
        acc, weights, top, total = _advance(
            number, blocks, length, q, key_buffer, value_buffer, key_ready, value_ready, key_free, value_free,
            acc, weights, top, total, scale, STAGES, True, layout, acc_layout, weights_layout,
        )  # fmt: skip

    last = blocks - 1
    mbarrier.wait(value_ready.index(last % STAGES), (last // STAGES) & 1)
    acc = warpgroup_mma(weights, value_buffer.index(last % STAGES), acc, is_async=True)
    acc, weights = warpgroup_mma_wait(0, deps=[acc, weights])
    acc = acc / gl.convert_layout(total, gl.SliceLayout(1, acc_layout))[:, None]

    # The query rows are no longer needed: their memory turns the output into whole rows for wide stores.
    q.store(acc.to(key_buffer.dtype))
    LANES: gl.constexpr = WIDTH // 8
    store_layout: gl.constexpr = gl.BlockedLayout([1, 8], [32 // LANES, LANES], [4, 1], [1, 0])
    out = q.load(store_layout)
    row = PART * 64 + gl.arange(0, 64, gl.SliceLayout(1, store_layout))
    channel = gl.arange(0, WIDTH, gl.SliceLayout(0, store_layout))
    inside = (row < rows)[:, None] & (channel < WIDTH)[None, :]
    gl.store(output_base + row[:, None] * WIDTH + channel[None, :], out, mask=inside)
    lse_row = PART * 64 + gl.arange(0, 64, gl.SliceLayout(1, layout))
    gl.store(lse_base + lse_row, (top + gl.log2(total)) * 0.6931471805599453, mask=lse_row < rows)


_COUNTS = ["heads", "query_tiles", "query_tokens", "always_width", "list_width"]
"""Arguments that change from chunk to chunk: compiling again for every multiple of 16 among them would stall."""


@gluon.jit(do_not_specialize=_COUNTS)
def hopper_attention_kernel(
    query_blocks, key_blocks, value_blocks, key, value, output, logsumexp,
    query_entries, always_entries, always_counts, list_entries, list_counts, full_counts,
    key_stride_b, key_stride_h, value_stride_b, value_stride_h,
    query_rows_b, query_rows_h, key_rows_b, key_rows_h, value_rows_b, value_rows_h,
    heads, query_tiles, query_tokens, always_width, list_width, scale,
    WIDTH: gl.constexpr, STAGES: gl.constexpr,
):  # fmt: skip
    """Run one program per (query tile, batch entry and head)."""
    tile = gl.program_id(0)
    b = gl.program_id(1) // heads
    head = gl.program_id(1) % heads
    entry = gl.load(query_entries + b * query_tiles + tile)
    first = entry >> 8
    rows = entry & 255
    line = (gl.program_id(1) * query_tiles + tile).to(gl.int64)
    always = always_entries + b * always_width
    always_full = gl.load(always_counts + b * 2)
    always_all = gl.load(always_counts + b * 2 + 1)
    listed = list_entries + line * list_width
    listed_full = gl.load(full_counts + line)
    blocks = always_all + gl.load(list_counts + line)
    # A batch entry with fewer query tiles has nothing to do here; without any key the output stays as it was prepared.
    if (rows > 0) & (blocks > 0):
        dtype: gl.constexpr = key_blocks.dtype
        query_buffer = gl.allocate_shared_memory(dtype, [2, 64, WIDTH], query_blocks.layout)
        key_buffer = gl.allocate_shared_memory(dtype, [STAGES, 128, WIDTH], key_blocks.layout)
        value_buffer = gl.allocate_shared_memory(dtype, [STAGES, 128, WIDTH], value_blocks.layout)
        query_ready = gl.allocate_shared_memory(gl.int64, [1], mbarrier.MBarrierLayout())
        key_ready = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
        value_ready = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
        key_free = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
        value_free = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
        mbarrier.init(query_ready, count=1)
        for slot in gl.static_range(STAGES):
            mbarrier.init(key_ready.index(slot), count=1)
            mbarrier.init(value_ready.index(slot), count=1)
            mbarrier.init(key_free.index(slot), count=2)
            mbarrier.init(value_free.index(slot), count=2)
        fence_async_shared()

        key_base = key + b.to(gl.int64) * key_stride_b + head.to(gl.int64) * key_stride_h
        value_base = value + b.to(gl.int64) * value_stride_b + head.to(gl.int64) * value_stride_h
        query_row = b * query_rows_b + head * query_rows_h + first
        key_row = b * key_rows_b + head * key_rows_h
        value_row = b * value_rows_b + head * value_rows_h
        output_row = (gl.program_id(1) * query_tokens + first).to(gl.int64)
        output_base = output + output_row * WIDTH
        lse_base = logsumexp + output_row
        gl.warp_specialize(
            [
                (_consume, (
                    query_buffer, key_buffer, value_buffer, query_ready, key_ready, value_ready, key_free, value_free,
                    always, always_full, always_all, listed, listed_full, blocks, output_base, lse_base, rows, scale,
                    0, WIDTH, STAGES,
                )),
                (_consume, (
                    query_buffer, key_buffer, value_buffer, query_ready, key_ready, value_ready, key_free, value_free,
                    always, always_full, always_all, listed, listed_full, blocks, output_base, lse_base, rows, scale,
                    1, WIDTH, STAGES,
                )),
                (_produce, (
                    query_blocks, key_blocks, value_blocks, key_base, value_base,
                    query_buffer, key_buffer, value_buffer,
                    query_ready, key_ready, value_ready, key_free, value_free,
                    query_row, key_row, value_row, always, always_full, always_all, listed, listed_full, blocks,
                    WIDTH, STAGES,
                )),
            ],
            [4, 4],
            [240, 24],
        )  # fmt: skip


def gluon_fits(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: TileLayout) -> bool:
    """Return whether the kernel takes these tensors and tables; others go to the Triton kernel."""
    return (
        query.dtype in (torch.bfloat16, torch.float16)
        and query.shape[3] in WIDTHS
        and layout.block == BLOCK
        and block_of(layout.queries.longest) == BLOCK
        and all(descriptors_fit(x) for x in (query, key, value))
    )


def gluon_block_sparse_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    layout: TileLayout,
    lists: TileLists,
    scale: float | None,
    config: KernelConfig,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the result of `naive_block_sparse_attention`, output in the type of ``query``.

    The tensors must pass `gluon_fits`.
    """
    batch, heads, tokens, width = query.shape
    factor = width**-0.5 if scale is None else scale
    output, logsumexp = output_tensors(query, layout)
    query_tiles = layout.queries.entries.shape[1]
    row_strides = [x.stride(axis) // width for x in (query, key, value) for axis in (0, 1)]
    hopper_attention_kernel[(query_tiles, batch * heads)](
        row_blocks(query, 64), row_blocks(key, BLOCK), row_blocks(value, BLOCK), key, value, output, logsumexp,
        layout.queries.entries, layout.always.entries, layout.always.counts,
        lists.entries, lists.counts, lists.full_counts,
        key.stride(0), key.stride(1), value.stride(0), value.stride(1), *row_strides,
        heads, query_tiles, tokens, layout.always.entries.shape[1], lists.entries.shape[3],
        factor * 1.4426950408889634,
        WIDTH=width, STAGES=config.stages, num_warps=config.warps,
    )  # fmt: skip
    return output, logsumexp


def row_blocks(x: torch.Tensor, rows: int) -> TensorDescriptor:
    """Describe ``x`` [B, H, S, D] as one list of rows, for loads of ``rows`` rows."""
    width = x.shape[3]
    dtype = gl.bfloat16 if x.dtype == torch.bfloat16 else gl.float16
    layout = gl.NVMMASharedLayout.get_default_for([rows, width], dtype)
    return TensorDescriptor(x, [row_count(x), width], [width, 1], [rows, width], layout)
