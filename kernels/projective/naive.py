"""Readable torch version of the per-frame 4x4 transform."""

from __future__ import annotations

import torch


def apply_projective(x: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Multiply every group of four adjacent channels by its frame's matrix.

    Args:
        x: [B, H, T * n, D] with D a multiple of 4; the tokens of a frame are contiguous.
        matrices: [B, T, 4, 4]; group g of a token of frame f becomes ``matrices[f] @ g``.

    Returns:
        Same shape and dtype as ``x``.

    Source: docs/spec/hy_worldplay.md, section 3.7.
    """
    batch, heads, tokens, width = x.shape
    frames = matrices.shape[1]
    grouped = x.view(batch, heads, frames, tokens // frames, width // 4, 4)
    # One [.., 4] x [4, 4] product per frame: out_i = sum_j M_ij g_j.
    out = torch.matmul(grouped.reshape(batch, heads, frames, -1, 4), matrices.transpose(-1, -2).to(x.dtype)[:, None])
    return out.view(batch, heads, tokens, width)
