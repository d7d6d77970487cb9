"""Triton version: every head vector is read and written once.

A program takes some tokens and some heads and keeps the tokens' tables in registers.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

ROWS = 16
"""Tokens per program."""


@triton.jit
def _matrix(pointers, ok):
    """Load the 16 entries of each row's matrix, row by row."""
    return (
        tl.load(pointers, mask=ok, other=0.0), tl.load(pointers + 1, mask=ok, other=0.0),
        tl.load(pointers + 2, mask=ok, other=0.0), tl.load(pointers + 3, mask=ok, other=0.0),
        tl.load(pointers + 4, mask=ok, other=0.0), tl.load(pointers + 5, mask=ok, other=0.0),
        tl.load(pointers + 6, mask=ok, other=0.0), tl.load(pointers + 7, mask=ok, other=0.0),
        tl.load(pointers + 8, mask=ok, other=0.0), tl.load(pointers + 9, mask=ok, other=0.0),
        tl.load(pointers + 10, mask=ok, other=0.0), tl.load(pointers + 11, mask=ok, other=0.0),
        tl.load(pointers + 12, mask=ok, other=0.0), tl.load(pointers + 13, mask=ok, other=0.0),
        tl.load(pointers + 14, mask=ok, other=0.0), tl.load(pointers + 15, mask=ok, other=0.0),
    )  # fmt: skip


@triton.jit
def _project(x, m, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """Multiply groups of four channels of ``x`` [ROWS, WIDTH] by the row's matrix ``m``."""
    even, odd = tl.split(tl.reshape(x, (ROWS, WIDTH // 4, 2, 2)))
    a, c = tl.split(even)
    b, d = tl.split(odd)
    first = m[0][:, None] * a + m[1][:, None] * b + m[2][:, None] * c + m[3][:, None] * d
    second = m[4][:, None] * a + m[5][:, None] * b + m[6][:, None] * c + m[7][:, None] * d
    third = m[8][:, None] * a + m[9][:, None] * b + m[10][:, None] * c + m[11][:, None] * d
    fourth = m[12][:, None] * a + m[13][:, None] * b + m[14][:, None] * c + m[15][:, None] * d
    return tl.reshape(tl.join(tl.join(first, third), tl.join(second, fourth)), (ROWS, WIDTH))


@triton.jit(do_not_specialize=["tokens", "frame_count"])
def split_branches_kernel(
    x, out, matrices, frames, cos, sin, weight,
    tokens, heads, batch, frame_count, rotation_stride_b, out_stride_b, out_stride_h, out_stride_s,
    WIDTH: tl.constexpr, ROWS: tl.constexpr, HEADS_EACH: tl.constexpr, ROTATED: tl.constexpr, NORMED: tl.constexpr,
):  # fmt: skip
    """Run one program per (``ROWS`` tokens, batch entry and ``HEADS_EACH`` heads)."""
    groups = heads // HEADS_EACH
    b = tl.program_id(1) // groups
    first_head = (tl.program_id(1) % groups) * HEADS_EACH
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    ok = row < tokens
    frame = tl.load(frames + row, mask=ok, other=0)
    m = _matrix(matrices + (b * frame_count + frame) * 16, ok)
    channel = tl.arange(0, WIDTH)
    inside = ok[:, None] & (channel < WIDTH)[None, :]
    if ROTATED:
        pair = row[:, None] * (WIDTH // 2) + tl.arange(0, WIDTH // 2)[None, :]
        pair += b * rotation_stride_b
        cosine = tl.load(cos + pair, mask=ok[:, None], other=0.0)
        sine = tl.load(sin + pair, mask=ok[:, None], other=0.0)
    if NORMED:
        factor = tl.load(weight + channel).to(tl.float32)
    source = x + (b * tokens + row).to(tl.int64)[:, None] * (heads * WIDTH) + channel[None, :]
    target = out + row.to(tl.int64)[:, None] * out_stride_s + channel[None, :]
    for number in range(HEADS_EACH):
        head = first_head + number
        values = tl.load(source + head * WIDTH, mask=inside, other=0.0).to(tl.float32)
        if NORMED:
            values = values * tl.rsqrt(tl.sum(values * values, axis=1) / WIDTH + 1e-6)[:, None] * factor[None, :]
        if ROTATED:
            even, odd = tl.split(tl.reshape(values, (ROWS, WIDTH // 2, 2)))
            turned = tl.reshape(tl.join(even * cosine - odd * sine, even * sine + odd * cosine), (ROWS, WIDTH))
        else:
            turned = values
        pointer = target + head.to(tl.int64) * out_stride_h
        tl.store(pointer + b.to(tl.int64) * out_stride_b, turned.to(out.dtype.element_ty), mask=inside)
        projected = _project(values, m, ROWS, WIDTH)
        pointer += (b + batch).to(tl.int64) * out_stride_b
        tl.store(pointer, projected.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["tokens", "frame_count"])
def join_branches_kernel(
    attended, out, matrices, frames,
    tokens, heads, batch, frame_count, attended_stride_b, attended_stride_h, attended_stride_s,
    WIDTH: tl.constexpr, ROWS: tl.constexpr, HEADS_EACH: tl.constexpr,
):  # fmt: skip
    """Run one program per (``ROWS`` tokens, batch entry and ``HEADS_EACH`` heads)."""
    groups = heads // HEADS_EACH
    b = tl.program_id(1) // groups
    first_head = (tl.program_id(1) % groups) * HEADS_EACH
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    ok = row < tokens
    frame = tl.load(frames + row, mask=ok, other=0)
    m = _matrix(matrices + (b * frame_count + frame) * 16, ok)
    channel = tl.arange(0, WIDTH)
    inside = ok[:, None] & (channel < WIDTH)[None, :]
    source = attended + row.to(tl.int64)[:, None] * attended_stride_s + channel[None, :]
    rotated_row = (b * tokens + row).to(tl.int64)[:, None] * (heads * WIDTH) + channel[None, :]
    projected_row = rotated_row + (batch * tokens).to(tl.int64) * (heads * WIDTH)
    for number in range(HEADS_EACH):
        head = first_head + number
        pointer = source + head.to(tl.int64) * attended_stride_h
        rotated = tl.load(pointer + b.to(tl.int64) * attended_stride_b, mask=inside, other=0.0)
        tl.store(out + rotated_row + head * WIDTH, rotated, mask=inside)
        values = tl.load(pointer + (b + batch).to(tl.int64) * attended_stride_b, mask=inside, other=0.0)
        projected = _project(values.to(tl.float32), m, ROWS, WIDTH)
        tl.store(out + projected_row + head * WIDTH, projected.to(out.dtype.element_ty), mask=inside)


def triton_split_branches(
    x: torch.Tensor,
    out: torch.Tensor,
    matrices: torch.Tensor,
    frames: torch.Tensor,
    rotation: tuple[torch.Tensor, torch.Tensor] | None,
    weight: torch.Tensor | None,
) -> None:
    """Split branches; D must be a power of two."""
    entries, heads, tokens, width = out.shape
    cos, sin = (matrices, matrices) if rotation is None else rotation
    each = heads_each(heads)
    split_branches_kernel[(triton.cdiv(tokens, ROWS), entries // 2 * (heads // each))](
        x.contiguous(), out, matrices, frames, cos, sin, x if weight is None else weight,
        tokens, heads, entries // 2, matrices.shape[1], cos.stride(0) if cos.ndim == 3 else 0, *out.stride()[:3],
        WIDTH=width, ROWS=ROWS, HEADS_EACH=each, ROTATED=rotation is not None, NORMED=weight is not None, num_warps=4,
    )  # fmt: skip


def triton_join_branches(attended: torch.Tensor, matrices: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """Join branches; D must be a power of two."""
    entries, heads, tokens, width = attended.shape
    out = torch.empty((2, entries // 2, tokens, heads * width), dtype=attended.dtype, device=attended.device)
    each = heads_each(heads)
    join_branches_kernel[(triton.cdiv(tokens, ROWS), entries // 2 * (heads // each))](
        attended, out, matrices, frames,
        tokens, heads, entries // 2, matrices.shape[1], *attended.stride()[:3],
        WIDTH=width, ROWS=ROWS, HEADS_EACH=each, num_warps=4,
    )  # fmt: skip
    return out


def heads_each(heads: int) -> int:
    """Return the heads per program.

    Enough to reuse the tokens' tables, few enough to keep a GPU busy with a short chunk.
    """
    return next(count for count in (4, 3, 2, 1) if heads % count == 0)
