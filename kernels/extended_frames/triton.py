"""Triton version: one program per piece of a row of pixels, everything is read and written once."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from li_env.kernels.extended_frames.naive import Edge

PROGRAM_VALUES = 4096
"""Values of one program: pixels times channels."""


@triton.jit
def extended_frames_kernel(
    x, gamma, past, out,
    frames, height, width, x_stride_b, x_stride_t, x_stride_h, x_stride_w,
    CHANNELS: tl.constexpr, PADDED_CHANNELS: tl.constexpr, PIXELS: tl.constexpr,
    NORMED: tl.constexpr, BEGUN: tl.constexpr, ZERO: tl.constexpr,
):  # fmt: skip
    """Run one program per (row of the result, piece of the row); rows are numbered (batch entry, frame, row)."""
    row = tl.program_id(0)
    i = row % (height + 2)
    t = (row // (height + 2)) % (frames + 2)
    b = row // ((height + 2) * (frames + 2))
    j = tl.program_id(1) * PIXELS + tl.arange(0, PIXELS)
    channel = tl.arange(0, PADDED_CHANNELS)
    inside = (j < width + 2)[:, None] & (channel < CHANNELS)[None, :]
    target = (row.to(tl.int64) * (width + 2) + j)[:, None] * CHANNELS + channel[None, :]
    if BEGUN and t < 2:
        line = ((b * 2 + t) * (height + 2) + i).to(tl.int64) * (width + 2)
        kept = tl.load(past + (line + j)[:, None] * CHANNELS + channel[None, :], mask=inside, other=0.0)
        tl.store(out + target, kept, mask=inside)
    else:
        source_t = tl.maximum(t - 2, 0)
        source_i = tl.minimum(tl.maximum(i - 1, 0), height - 1)
        source_j = tl.minimum(tl.maximum(j - 1, 0), width - 1)
        start = b.to(tl.int64) * x_stride_b + source_t.to(tl.int64) * x_stride_t + source_i * x_stride_h
        source = start + source_j[:, None] * x_stride_w + channel[None, :]
        shown = inside
        if ZERO:
            shown = inside & ((j > 0) & (j <= width))[:, None] & (i > 0) & (i <= height) & (t >= 2)
        values = tl.load(x + source, mask=shown, other=0.0)
        if NORMED:
            wide = values.to(tl.float32)
            length = tl.maximum(tl.sqrt(tl.sum(wide * wide, axis=1)), 1e-12)
            weight = tl.load(gamma + channel, mask=channel < CHANNELS, other=0.0).to(tl.float32)
            root: tl.constexpr = CHANNELS**0.5
            wide = wide * (root / length)[:, None] * weight[None, :]
            values = (wide / (1.0 + tl.exp(-wide))).to(out.dtype.element_ty)
        tl.store(out + target, values, mask=inside)


def triton_extended_frames(
    x: torch.Tensor, gamma: torch.Tensor | None, past: torch.Tensor | None, edge: Edge = "repeat"
) -> torch.Tensor:
    """Launch the Triton kernel of `extended_frames`."""
    batch, frames, height, width, channels = x.shape
    out = x.new_empty(batch, frames + 2, height + 2, width + 2, channels)
    padded = triton.next_power_of_2(channels)
    pixels = max(1, min(PROGRAM_VALUES // padded, triton.next_power_of_2(width + 2)))
    grid = (batch * (frames + 2) * (height + 2), triton.cdiv(width + 2, pixels))
    extended_frames_kernel[grid](
        x, x if gamma is None else gamma.contiguous(), x if past is None else past, out,
        frames, height, width, *x.stride()[:4],
        CHANNELS=channels, PADDED_CHANNELS=padded, PIXELS=pixels, NORMED=gamma is not None, BEGUN=past is not None,
        ZERO=edge == "zero",
        num_warps=4,
    )  # fmt: skip
    return out
