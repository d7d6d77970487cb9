"""Triton version: one program per token; tables of angles are per position on an axis and stay in the cache."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from li_env.kernels.rms_rotary.tables import RotaryTables


@triton.jit(do_not_specialize=["tokens", "heads"])
def rms_rotary_kernel(
    x, weight, cos, sin, row_index, axes, out,
    tokens, heads, x_stride_b, x_stride_t, out_stride_h, out_stride_t, table_stride_b, eps,
    WIDTH: tl.constexpr, HEADS: tl.constexpr, PADDED_PAIRS: tl.constexpr, AXES: tl.constexpr,
    ROTATED: tl.constexpr, TABLE_HEADS: tl.constexpr, WEIGHTED: tl.constexpr, PER_HEAD: tl.constexpr,
):  # fmt: skip
    """Run one program per (token, batch entry).

    HEADS and PADDED_PAIRS are powers of two that hold the heads and their pairs.
    """
    token = tl.program_id(0)
    b = tl.program_id(1).to(tl.int64)
    head = tl.arange(0, HEADS)
    channel = tl.arange(0, 2 * PADDED_PAIRS)
    inside = (head < heads)[:, None] & (channel < WIDTH)[None, :]
    offset = head[:, None] * WIDTH + channel[None, :]
    source = x + b * x_stride_b + token.to(tl.int64) * x_stride_t
    values = tl.load(source + offset, mask=inside, other=0.0).to(tl.float32)
    squares = tl.sum(values * values, axis=1)
    if PER_HEAD:
        values = values * tl.rsqrt(squares / WIDTH + eps)[:, None]
    else:
        values = values * tl.rsqrt(tl.sum(squares, axis=0) / (WIDTH * heads) + eps)
    if WEIGHTED:
        values = values * tl.load(weight + offset, mask=inside, other=0.0).to(tl.float32)
    if ROTATED > 0:
        first, second = tl.split(tl.reshape(values, (HEADS, PADDED_PAIRS, 2)))
        pair = tl.arange(0, PADDED_PAIRS)
        turned = pair < ROTATED
        axis = tl.load(axes + pair, mask=turned, other=0)
        row = tl.load(row_index + token * AXES + axis, mask=turned, other=0)
        known = (head < heads)[:, None] & turned[None, :]
        angle = row[None, :] * (TABLE_HEADS * ROTATED) + pair[None, :]
        angle = angle + (head * ROTATED)[:, None] if TABLE_HEADS > 1 else tl.broadcast_to(angle, known.shape)
        c = tl.load(cos + b * table_stride_b + angle, mask=known, other=1.0)
        s = tl.load(sin + b * table_stride_b + angle, mask=known, other=0.0)
        values = tl.reshape(tl.join(first * c - second * s, first * s + second * c), (HEADS, 2 * PADDED_PAIRS))
    target = out + (b * tokens * heads * WIDTH + token.to(tl.int64) * out_stride_t)
    target = target + head[:, None].to(tl.int64) * out_stride_h + channel[None, :]
    tl.store(target, values.to(out.dtype.element_ty), mask=inside)


def triton_rms_rotary(
    x: torch.Tensor,
    heads: int,
    weight: torch.Tensor | None,
    tables: RotaryTables | None,
    eps: float,
    per_head: bool,
    interleaved: bool = False,
) -> torch.Tensor:
    """Launch the Triton kernel of `rms_rotary`."""
    if x.stride(2) != 1:
        x = x.contiguous()
    batch, tokens, channels = x.shape
    width = channels // heads
    shape = (batch, tokens, heads, width) if interleaved else (batch, heads, tokens, width)
    out = torch.empty(shape, dtype=x.dtype, device=x.device)
    out = out.transpose(1, 2) if interleaved else out
    cos, sin, row_index, axes = (
        (x, x, x, x) if tables is None else (tables.cos, tables.sin, tables.row_index, tables.axes)
    )
    shared = tables is None or cos.shape[0] == 1
    rms_rotary_kernel[(tokens, batch)](
        x, x if weight is None else weight, cos, sin, row_index, axes, out,
        tokens, heads, x.stride(0), x.stride(1), out.stride(1), out.stride(2), 0 if shared else cos.stride(0), eps,
        WIDTH=width, HEADS=triton.next_power_of_2(heads),
        PADDED_PAIRS=triton.next_power_of_2(width // 2), AXES=1 if tables is None else row_index.shape[1],
        ROTATED=0 if tables is None else cos.shape[3], TABLE_HEADS=1 if tables is None else cos.shape[2],
        WEIGHTED=weight is not None, PER_HEAD=per_head, num_warps=4 if channels <= 2048 else 8,
    )  # fmt: skip
    return out
