"""Triton version: one program per token, every tensor is read and written once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl


@triton.jit(do_not_specialize=["tokens"])
def gated_norm_kernel(
    z, first, second, gate, shift, scale, frames, y,
    tokens, gate_stride_b, gate_stride_f, shift_stride_b, shift_stride_f, scale_stride_b, scale_stride_f,
    WIDTH: tl.constexpr, PADDED_WIDTH: tl.constexpr, BRANCHES: tl.constexpr,
):  # fmt: skip
    """Run one program per (token, batch entry)."""
    token = tl.program_id(0)
    b = tl.program_id(1)
    frame = tl.load(frames + token)
    channel = tl.arange(0, PADDED_WIDTH)
    inside = channel < WIDTH
    row = (b * tokens + token).to(tl.int64) * WIDTH + channel
    x = tl.load(z + row, mask=inside, other=0.0).to(tl.float32)
    if BRANCHES > 0:
        update = tl.load(first + row, mask=inside, other=0.0).to(tl.float32)
        if BRANCHES > 1:
            update += tl.load(second + row, mask=inside, other=0.0).to(tl.float32)
        factor = tl.load(gate + b * gate_stride_b + frame * gate_stride_f + channel, mask=inside, other=0.0)
        stored = (x + factor.to(tl.float32) * update).to(z.dtype.element_ty)
        tl.store(z + row, stored, mask=inside)
        x = stored.to(tl.float32)
    centred = tl.where(inside, x - tl.sum(x, axis=0) / WIDTH, 0.0)
    normed = centred * tl.rsqrt(tl.sum(centred * centred, axis=0) / WIDTH + 1e-6)
    add = tl.load(shift + b * shift_stride_b + frame * shift_stride_f + channel, mask=inside, other=0.0)
    times = tl.load(scale + b * scale_stride_b + frame * scale_stride_f + channel, mask=inside, other=0.0)
    out = normed * (1.0 + times.to(tl.float32)) + add.to(tl.float32)
    tl.store(y + row, out.to(y.dtype.element_ty), mask=inside)


def triton_gated_norm(
    z: torch.Tensor,
    branches: Sequence[torch.Tensor],
    gate: torch.Tensor | None,
    shift: torch.Tensor,
    scale: torch.Tensor,
    frames: torch.Tensor,
) -> torch.Tensor:
    """Launch the Triton kernel of `gated_norm`."""
    batch, tokens, width = z.shape
    y = torch.empty_like(z)
    given = [branch.contiguous() for branch in branches]
    first, second = (*given, z, z)[:2]
    factor = shift if gate is None else gate
    gated_norm_kernel[(tokens, batch)](
        z, first, second, factor, shift, scale, frames, y,
        tokens, *factor.stride()[:2], *shift.stride()[:2], *scale.stride()[:2],
        WIDTH=width, PADDED_WIDTH=triton.next_power_of_2(width), BRANCHES=len(given),
        # Sixteen bytes per thread and tensor, as far as a small row allows.
        num_warps=2 if width <= 512 else 4 if width <= 2048 else 8,
    )  # fmt: skip
    return y
