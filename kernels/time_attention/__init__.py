"""Attention along time, separately at every position of the picture: many sequences of a dozen tokens."""

from __future__ import annotations

import torch

from li_env.kernels.backend import uses_triton
from li_env.kernels.rms_rotary import RotaryTables
from li_env.kernels.time_attention.naive import naive_time_attention

__all__ = ["naive_time_attention", "time_attention"]

MOST_LATENTS = 64
"""Longest line that the Triton kernel takes: it keeps a whole one in registers."""


def time_attention(
    qkv: torch.Tensor, heads: int, lines: torch.Tensor, slots: RotaryTables, eps: float = 1e-6
) -> torch.Tensor:
    """Compute normed, rotated softmax attention of every line of tokens with itself.

    Args:
        qkv: [B, S, 3 * H * D], query, key and value of every token, heads inside, bfloat16, float16 or float32.
        heads: H.
        lines: int64 [n, T], the tokens of each position along time; every token in exactly one line.
        slots: rotation of the T positions in a line, one for all batch entries and heads (`rms_rotary.rotary_tables`).
        eps: of the norm of queries and keys, per head and without a weight.

    Returns:
        [B, S, H * D] in the type of ``qkv``, tokens in the order in which they came.

    Raises:
        ValueError: shapes that do not fit.

    Source: docs/spec/matrix_game_3.md, section 3.7.
    """
    if qkv.ndim != 3 or qkv.shape[2] % (6 * heads):
        raise ValueError(f"qkv: shape {tuple(qkv.shape)}: [batch, tokens, 3 * {heads} heads * channels] is needed")
    if lines.ndim != 2 or lines.numel() != qkv.shape[1]:
        raise ValueError(f"lines: shape {tuple(lines.shape)}: [positions, latents] of {qkv.shape[1]} tokens is needed")
    if slots.cos.shape[0] != 1 or slots.cos.shape[2] != 1 or len(slots.row_index) != lines.shape[1]:
        raise ValueError(
            f"slots: {tuple(slots.cos.shape)}, {len(slots.row_index)} rows: one table, {lines.shape[1]} rows"
        )
    if uses_triton(qkv.device) and lines.shape[1] <= MOST_LATENTS:
        from li_env.kernels.time_attention.triton import triton_time_attention

        return triton_time_attention(qkv, heads, lines, slots, eps)
    return naive_time_attention(qkv, heads, lines, slots, eps)
