"""Root-mean-square norm of queries or keys, split into heads and rotary embedding, in one pass."""

from __future__ import annotations

import torch

from li_env.kernels.backend import uses_triton
from li_env.kernels.checks import check_contiguous
from li_env.kernels.rms_rotary.naive import naive_rms_rotary
from li_env.kernels.rms_rotary.tables import RotaryTables, rotary_tables

__all__ = ["RotaryTables", "rms_rotary", "rotary_tables"]


def rms_rotary(
    x: torch.Tensor,
    heads: int,
    weight: torch.Tensor | None = None,
    tables: RotaryTables | None = None,
    eps: float = 1e-6,
    per_head: bool = False,
    interleaved: bool = False,
) -> torch.Tensor:
    """Compute ``x / sqrt(mean(x^2) + eps) * weight``, cut into heads, adjacent channel pairs of each head rotated.

    Args:
        x: [B, S, H * D], bfloat16, float16 or float32.
        heads: H.
        weight: [H * D] or None.
        tables: angles of the first pairs of each head; the other channels stay. None rotates nothing.
        eps: added to the mean square.
        per_head: the mean is over the D channels of a head instead of over all H * D.
        interleaved: keep the heads of a token beside each other in memory, as in ``x``; dense attention then gives its
            result in that order too, so that it is joined again without a copy.

    Returns:
        [B, H, S, D] in the type of ``x``, contiguous or a view of [B, S, H, D]; arithmetic in float32.

    Raises:
        ValueError: shapes that do not fit.

    Source: docs/spec/matrix_game_3.md, sections 3.5 to 3.7.
    """
    if x.ndim != 3 or x.shape[2] % (2 * heads):
        raise ValueError(f"x: shape {tuple(x.shape)}: [batch, tokens, channels], channels a multiple of {2 * heads}")
    if weight is not None and weight.shape != x.shape[2:]:
        raise ValueError(f"weight: shape {tuple(weight.shape)}: {tuple(x.shape[2:])} is needed")
    check_contiguous(weight=weight)
    if tables is not None:
        batch, _, table_heads, rotated = tables.cos.shape
        if batch not in (1, x.shape[0]) or table_heads not in (1, heads) or 2 * rotated > x.shape[2] // heads:
            raise ValueError(f"tables: {tuple(tables.cos.shape)} do not fit x {tuple(x.shape)} with {heads} heads")
        if len(tables.row_index) != x.shape[1]:
            raise ValueError(f"tables: made for {len(tables.row_index)} tokens, x has {x.shape[1]}")
    if uses_triton(x.device):
        from li_env.kernels.rms_rotary.triton import triton_rms_rotary

        return triton_rms_rotary(x, heads, weight, tables, eps, per_head, interleaved)
    return naive_rms_rotary(x, heads, weight, tables, eps, per_head, interleaved)
