"""Triton version: one program per (position, head) holds its whole line in registers."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from li_env.kernels.rms_rotary.tables import RotaryTables


@triton.jit
def _normed_rotated(x, c, s, eps, WIDTH: tl.constexpr, LATENTS: tl.constexpr, PADDED_PAIRS: tl.constexpr):
    x = x * tl.rsqrt(tl.sum(x * x, axis=1) / WIDTH + eps)[:, None]
    first, second = tl.split(tl.reshape(x, (LATENTS, PADDED_PAIRS, 2)))
    return tl.reshape(tl.join(first * c - second * s, first * s + second * c), (LATENTS, 2 * PADDED_PAIRS))


@triton.jit(do_not_specialize=["latents"])
def time_attention_kernel(
    qkv, lines, cos, sin, row_index, out,
    latents, heads, qkv_stride_b, qkv_stride_t, out_stride_b, out_stride_t, scale, eps,
    WIDTH: tl.constexpr, PADDED_PAIRS: tl.constexpr, ROTATED: tl.constexpr, LATENTS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Run one program per (line, head, batch entry). LATENTS is a power of two, at least 16, that holds a line."""
    line = tl.program_id(0)
    head = tl.program_id(1)
    b = tl.program_id(2).to(tl.int64)
    latent = tl.arange(0, LATENTS)
    channel = tl.arange(0, 2 * PADDED_PAIRS)
    present = latent < latents
    inside = present[:, None] & (channel < WIDTH)[None, :]
    token = tl.load(lines + line * latents + latent, mask=present, other=0)
    source = qkv + b * qkv_stride_b + token[:, None] * qkv_stride_t + head * WIDTH + channel[None, :]
    q = tl.load(source, mask=inside, other=0.0).to(tl.float32)
    k = tl.load(source + heads * WIDTH, mask=inside, other=0.0).to(tl.float32)
    v = tl.load(source + 2 * heads * WIDTH, mask=inside, other=0.0)
    pair = tl.arange(0, PADDED_PAIRS)
    table_row = tl.load(row_index + latent, mask=present, other=0)
    angle = table_row[:, None] * ROTATED + pair[None, :]
    turned = present[:, None] & (pair < ROTATED)[None, :]
    c = tl.load(cos + angle, mask=turned, other=1.0)
    s = tl.load(sin + angle, mask=turned, other=0.0)
    q = _normed_rotated(q, c, s, eps, WIDTH, LATENTS, PADDED_PAIRS).to(v.dtype)
    k = _normed_rotated(k, c, s, eps, WIDTH, LATENTS, PADDED_PAIRS).to(v.dtype)
    scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale
    scores = tl.where(present[None, :], scores, float("-inf"))
    weights = tl.exp(scores - tl.max(scores, axis=1)[:, None])
    weights = weights / tl.sum(weights, axis=1)[:, None]
    mixed = tl.dot(weights.to(v.dtype), v, input_precision=PRECISION)
    target = out + b * out_stride_b + token[:, None] * out_stride_t + head * WIDTH + channel[None, :]
    tl.store(target, mixed.to(out.dtype.element_ty), mask=inside)


def triton_time_attention(
    qkv: torch.Tensor, heads: int, lines: torch.Tensor, slots: RotaryTables, eps: float
) -> torch.Tensor:
    """Launch the Triton kernel of `time_attention`."""
    if qkv.stride(2) != 1:
        qkv = qkv.contiguous()
    batch, tokens, channels = qkv.shape
    width = channels // (3 * heads)
    out = torch.empty((batch, tokens, heads * width), dtype=qkv.dtype, device=qkv.device)
    positions, latents = lines.shape
    time_attention_kernel[(positions, heads, batch)](
        qkv, lines.contiguous(), slots.cos, slots.sin, slots.row_index, out, latents, heads,
        qkv.stride(0), qkv.stride(1), out.stride(0), out.stride(1), width**-0.5, eps,
        WIDTH=width, PADDED_PAIRS=max(8, triton.next_power_of_2(width // 2)), ROTATED=slots.cos.shape[3],
        LATENTS=max(16, triton.next_power_of_2(latents)),
        PRECISION="ieee" if qkv.dtype == torch.float32 else "tf32", num_warps=2,
    )  # fmt: skip
    return out
