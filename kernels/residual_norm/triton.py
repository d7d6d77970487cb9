"""Triton version: one program per token, the residual stream is read and written once."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

CAST, MODULATED, CAMERA = 0, 1, 2
"""Norm that follows the addition."""


@triton.jit(do_not_specialize=["known", "x_stride_b", "delta_stride_b", "row_index_stride_b"])
def residual_norm_kernel(
    x, delta, gate, first, second, row_index, weight, bias, z,
    known, x_stride_b, delta_stride_b, row_index_stride_b, z_stride_b, gate_stride, first_stride, second_stride, eps,
    WIDTH: tl.constexpr, PADDED_WIDTH: tl.constexpr, DELTA: tl.constexpr, GATED: tl.constexpr, NORM: tl.constexpr,
):  # fmt: skip
    """Run one program per (token, batch entry).

    ``first`` and ``second`` are scale and shift, per side or per row index.
    """
    token = tl.program_id(0)
    b = tl.program_id(1).to(tl.int64)
    side = (token >= known).to(tl.int32)
    channel = tl.arange(0, PADDED_WIDTH)
    inside = channel < WIDTH
    offset = token.to(tl.int64) * WIDTH + channel
    own = x + b * x_stride_b + offset
    value = tl.load(own, mask=inside, other=0.0)
    if DELTA:
        update = tl.load(delta + b * delta_stride_b + offset, mask=inside, other=0.0).to(tl.float32)
        if GATED:
            update = update * tl.load(gate + side * gate_stride + channel, mask=inside, other=0.0)
        value = value + update
    if NORM == 2:
        camera = tl.load(row_index + b * row_index_stride_b + token).to(tl.int64) * WIDTH + channel
        factor = tl.load(first + camera, mask=inside, other=0.0).to(tl.float32)
        shifted = tl.load(second + camera, mask=inside, other=0.0).to(tl.float32)
        value = (1.0 + factor) * value + shifted
    out = value
    if NORM > 0:
        centred = tl.where(inside, value - tl.sum(value, axis=0) / WIDTH, 0.0)
        normed = centred * tl.rsqrt(tl.sum(centred * centred, axis=0) / WIDTH + eps)
        if NORM == 1:
            factor = tl.load(first + side * first_stride + channel, mask=inside, other=0.0)
            out = normed * (1.0 + factor) + tl.load(second + side * second_stride + channel, mask=inside, other=0.0)
        else:
            out = normed * tl.load(weight + channel, mask=inside, other=0.0).to(tl.float32)
            out += tl.load(bias + channel, mask=inside, other=0.0).to(tl.float32)
            value = out
    if DELTA:
        tl.store(own, value, mask=inside)
    tl.store(z + b * z_stride_b + offset, out.to(z.dtype.element_ty), mask=inside)


def triton_residual_norm(
    x: torch.Tensor,
    delta: torch.Tensor | None,
    gate: torch.Tensor | None,
    vectors: tuple[torch.Tensor, torch.Tensor] | None,
    affine: tuple[torch.Tensor, torch.Tensor] | None,
    known: int,
    dtype: torch.dtype,
    eps: float,
    row_index: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Update ``x`` in place and return it with its norm.

    With ``affine`` the ``vectors`` are the camera's, looked up by ``row_index``; without, they are those of the norm.
    """
    batch, tokens, width = x.shape
    x = _rows(x)
    delta = None if delta is None else _rows(delta)
    z = torch.empty((batch, tokens, width), dtype=dtype, device=x.device)
    norm = CAST if vectors is None else MODULATED if affine is None else CAMERA
    first, second = (x, x) if vectors is None else vectors
    if norm == CAMERA:
        first, second = first.contiguous(), second.contiguous()
    given = [each if each is not None else x for each in (delta, gate, row_index)]
    strides = [0 if each is None else each.stride(0) for each in (delta, gate, row_index)]
    weight, bias = (x, x) if affine is None else affine
    residual_norm_kernel[(tokens, batch)](
        x, given[0], given[1], first, second, given[2], weight, bias, z,
        known, x.stride(0), strides[0], strides[2], z.stride(0), strides[1], first.stride(0), second.stride(0), eps,
        WIDTH=width, PADDED_WIDTH=triton.next_power_of_2(width), DELTA=delta is not None, GATED=gate is not None,
        NORM=norm, num_warps=4 if width <= 2048 else 8,
    )  # fmt: skip
    return x, z


def _rows(x: torch.Tensor) -> torch.Tensor:
    """Make the tokens contiguous within each batch entry."""
    return x if x.stride()[1:] == (x.shape[2], 1) else x.contiguous()
