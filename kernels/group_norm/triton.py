"""Triton version: one program per frame and group, which reads its channels twice and writes them once.

The programs of a frame's groups run side by side, so that a pixel's channels come from memory once for all of them.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

PIXELS = 256
"""Pixels that a program reads at once."""


@triton.jit(do_not_specialize=["pixels"])
def group_norm_silu_kernel(
    x, weight, bias, offset, out, pixels, eps,
    GROUPS: tl.constexpr, WIDTH: tl.constexpr, PADDED_WIDTH: tl.constexpr, PIXELS: tl.constexpr, MOVED: tl.constexpr,
):  # fmt: skip
    """Run one program per (frame, group); ``WIDTH`` channels a group."""
    group = tl.program_id(0) % GROUPS
    frame = (tl.program_id(0) // GROUPS).to(tl.int64)
    lane = tl.arange(0, PADDED_WIDTH)
    known = lane < WIDTH
    channel = group * WIDTH + lane
    moved = tl.zeros((PADDED_WIDTH,), tl.float32)
    if MOVED:
        moved += tl.load(offset + channel, mask=known, other=0.0).to(tl.float32)
    row = tl.arange(0, PIXELS)
    offsets = frame * pixels * (GROUPS * WIDTH) + row[:, None] * (GROUPS * WIDTH) + channel[None, :]
    # Sums are taken about the mean of the first pixels: about zero they would lose a large mean's digits.
    inside = (row < pixels)[:, None] & known[None, :]
    values = tl.load(x + offsets, mask=inside, other=0.0).to(tl.float32) + moved[None, :]
    pivot = tl.sum(tl.sum(tl.where(inside, values, 0.0), axis=1), axis=0) / (tl.minimum(pixels, PIXELS) * WIDTH)
    totals = tl.zeros((PIXELS, PADDED_WIDTH), tl.float32)
    squares = tl.zeros((PIXELS, PADDED_WIDTH), tl.float32)
    for start in range(0, pixels, PIXELS):
        inside = (start + row < pixels)[:, None] & known[None, :]
        block_offsets = offsets + start * (GROUPS * WIDTH)
        values = tl.load(x + block_offsets, mask=inside, other=0.0).to(tl.float32) + moved[None, :]
        values = tl.where(inside, values - pivot, 0.0)
        totals += values
        squares += values * values
    count = pixels * WIDTH
    rest = tl.sum(tl.sum(totals, axis=1), axis=0) / count
    variance = tl.sum(tl.sum(squares, axis=1), axis=0) / count - rest * rest
    factor = tl.load(weight + channel, mask=known, other=0.0).to(tl.float32)
    factor = factor * tl.rsqrt(tl.maximum(variance, 0.0) + eps)
    add = tl.load(bias + channel, mask=known, other=0.0).to(tl.float32)
    add = add + (moved - pivot - rest) * factor
    for start in range(0, pixels, PIXELS):
        inside = (start + row < pixels)[:, None] & known[None, :]
        block_offsets = offsets + start * (GROUPS * WIDTH)
        values = tl.load(x + block_offsets, mask=inside, other=0.0).to(tl.float32)
        values = values * factor[None, :] + add[None, :]
        tl.store(out + block_offsets, (values * tl.sigmoid(values)).to(out.dtype.element_ty), mask=inside)


def triton_group_norm_silu(
    x: torch.Tensor,
    groups: int,
    weight: torch.Tensor,
    bias: torch.Tensor,
    offset: torch.Tensor | None,
    eps: float,
) -> torch.Tensor:
    """Launch the Triton kernel of `group_norm_silu`."""
    x = x.contiguous(memory_format=torch.channels_last)
    frames, channels, rows, columns = x.shape
    out = torch.empty_like(x)
    width = channels // groups
    together = min(PIXELS, triton.next_power_of_2(rows * columns))
    group_norm_silu_kernel[(frames * groups,)](
        x, weight, bias, weight if offset is None else offset, out, rows * columns, eps,
        GROUPS=groups, WIDTH=width, PADDED_WIDTH=triton.next_power_of_2(width), PIXELS=together,
        MOVED=offset is not None, num_warps=max(1, together // 32),
    )  # fmt: skip
    return out
