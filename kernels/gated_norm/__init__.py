"""Residual update and modulated LayerNorm in one pass over the tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from li_env.kernels.backend import uses_triton
from li_env.kernels.checks import check_adjacent, check_contiguous
from li_env.kernels.gated_norm.naive import naive_gated_norm

__all__ = ["gated_norm", "naive_gated_norm"]


def gated_norm(
    z: torch.Tensor,
    branches: Sequence[torch.Tensor],
    gate: torch.Tensor | None,
    shift: torch.Tensor,
    scale: torch.Tensor,
    frames: torch.Tensor,
) -> torch.Tensor:
    """Add ``gate * sum(branches)`` to z in place and return ``LayerNorm(z) * (1 + scale) + shift`` of the new z.

    Args:
        z: [B, S, C] contiguous, the residual stream; it is overwritten unless there are no ``branches``.
        branches: at most two tensors like z.
        gate, shift, scale: [B, F, C] with adjacent channels, one vector per frame; ``gate`` is None without branches.
        frames: int32 [S], the frame of every token.

    Returns:
        [B, S, C], the modulated norm (eps 1e-6, no weights), in the type of z.

    Raises:
        ValueError: shapes or strides that do not fit.

    For inference: nothing here can be differentiated.

    Source: docs/spec/hy_worldplay.md, sections 3.2 and 3.5.
    """
    if len(branches) > 2 or (gate is None) != (not branches):
        raise ValueError(f"branches: {len(branches)} with gate={'none' if gate is None else 'given'}: 0 or 1 to 2")
    for name, x in (("branches", branch) for branch in branches):
        if x.shape != z.shape:
            raise ValueError(f"{name}: shape {tuple(x.shape)}: {tuple(z.shape)} is needed")
    vectors = (("shift", shift), ("scale", scale), ("gate", shift if gate is None else gate))
    for name, vector in vectors:
        if vector.ndim != 3 or vector.shape[0] != z.shape[0] or vector.shape[2] != z.shape[2]:
            raise ValueError(f"{name}: shape {tuple(vector.shape)}: [{z.shape[0]}, frames, {z.shape[2]}] is needed")
    if tuple(frames.shape) != (z.shape[1],):
        raise ValueError(f"frames: shape {tuple(frames.shape)}: [{z.shape[1]}] is needed")
    check_contiguous(z=z, frames=frames)
    check_adjacent(gate=gate, shift=shift, scale=scale)
    if uses_triton(z.device):
        from li_env.kernels.gated_norm.triton import triton_gated_norm

        return triton_gated_norm(z, branches, gate, shift, scale, frames)
    return naive_gated_norm(z, branches, gate, shift, scale, frames)
