"""The two attention branches of a camera-controlled transformer: heads in, rotated and projected heads out, and back.

Branch R rotates channel pairs by per-token angles (RoPE), branch P multiplies groups of four channels by the 4x4 matrix
of the token's frame (ProPE).
"""

from __future__ import annotations

import torch

from li_env.kernels.backend import uses_triton
from li_env.kernels.checks import check_adjacent, check_contiguous
from li_env.kernels.rope_prope.naive import naive_join_branches, naive_split_branches

__all__ = ["join_branches", "naive_join_branches", "naive_split_branches", "split_branches"]


def split_branches(
    x: torch.Tensor,
    out: torch.Tensor,
    matrices: torch.Tensor,
    frames: torch.Tensor,
    rotation: tuple[torch.Tensor, torch.Tensor] | None = None,
    weight: torch.Tensor | None = None,
) -> None:
    """Write both branches of projected tokens into ``out``.

    Args:
        x: [B, S, H * D] contiguous, queries, keys or values as a linear layer leaves them.
        out: [2 * B, H, S, D] with adjacent channels, may be a piece of a larger buffer; the first B entries become
            branch R, the others branch P.
        matrices: [B, F, 4, 4] float32 contiguous, applied to groups of four channels in branch P.
        frames: int32 [S], the frame of every token.
        rotation: (cos, sin), each [S, D / 2] for the whole batch or [B, S, D / 2], float32 contiguous, for branch R;
            None leaves the channels as they are (values).
        weight: [D], of a root-mean-square norm (eps 1e-6) over each head before both branches; None for no norm.

    Raises:
        ValueError: shapes or strides that do not fit.

    Source: docs/spec/hy_worldplay.md, sections 3.4 to 3.7.
    """
    batch, heads, tokens, width = out.shape
    if tuple(x.shape) != (batch // 2, tokens, heads * width) or batch % 2 or width % 4:
        raise ValueError(f"x: shape {tuple(x.shape)} does not fit out {tuple(out.shape)}")
    _check_frames(matrices, frames, batch // 2, tokens)
    if rotation is not None:
        shapes, needed = [tuple(table.shape) for table in rotation], (tokens, width // 2)
        if shapes not in ([needed] * 2, [(batch // 2, *needed)] * 2):
            raise ValueError(f"rotation: shapes {shapes}: {needed} needed, for every batch entry or for each")
    check_adjacent(out=out)
    cos, sin = (None, None) if rotation is None else rotation
    check_contiguous(weight=weight, cos=cos, sin=sin)
    if uses_triton(x.device) and width & (width - 1) == 0:
        from li_env.kernels.rope_prope.triton import triton_split_branches

        triton_split_branches(x, out, matrices, frames, rotation, weight)
    else:
        naive_split_branches(x, out, matrices, frames, rotation, weight)


def join_branches(attended: torch.Tensor, matrices: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
    """Join heads of both branches back to tokens; branch P is multiplied by its frame's matrix.

    Args:
        attended: [2 * B, H, S, D] with adjacent channels.
        matrices: [B, F, 4, 4] float32 contiguous.
        frames: int32 [S].

    Returns:
        [2, B, S, H * D]: branch R, branch P.

    Raises:
        ValueError: shapes or strides that do not fit.

    Source: docs/spec/hy_worldplay.md, sections 3.5 and 3.7.
    """
    batch, _, tokens, width = attended.shape
    if batch % 2 or width % 4:
        raise ValueError(f"attended: shape {tuple(attended.shape)}: [2 * batch, heads, tokens, 4 * n] is needed")
    _check_frames(matrices, frames, batch // 2, tokens)
    check_adjacent(attended=attended)
    if uses_triton(attended.device) and width & (width - 1) == 0:
        from li_env.kernels.rope_prope.triton import triton_join_branches

        return triton_join_branches(attended, matrices, frames)
    return naive_join_branches(attended, matrices, frames)


def _check_frames(matrices: torch.Tensor, frames: torch.Tensor, batch: int, tokens: int) -> None:
    if matrices.ndim != 4 or matrices.shape[0] != batch or tuple(matrices.shape[2:]) != (4, 4):
        raise ValueError(f"matrices: shape {tuple(matrices.shape)}: [{batch}, frames, 4, 4] is needed")
    if matrices.dtype != torch.float32 or not matrices.is_contiguous():
        raise ValueError(f"matrices: {matrices.dtype}, strides {matrices.stride()}: contiguous float32 is needed")
    check_contiguous(frames=frames)
    if tuple(frames.shape) != (tokens,):
        raise ValueError(f"frames: shape {tuple(frames.shape)}: [{tokens}] is needed")
