"""The input of a causal convolution: normed and activated frames with a border around them and the past in front."""

from __future__ import annotations

import torch

from li_env.kernels.backend import uses_triton
from li_env.kernels.extended_frames.naive import Edge, naive_extended_frames

__all__ = ["EDGES", "PAST", "Edge", "extended_frames", "naive_extended_frames"]

EDGES: tuple[Edge, ...] = ("repeat", "zero")

PAST = 2
"""Frames before the present ones that a convolution with three taps in time needs."""


def extended_frames(
    x: torch.Tensor, gamma: torch.Tensor | None, past: torch.Tensor | None, edge: Edge = "repeat"
) -> torch.Tensor:
    """Compute ``silu(x / rms(x) * gamma)`` in a border of one pixel, behind the two frames that came before it.

    Args:
        x: [B, T, H, W, C] with adjacent channels; the rest may be a view into a larger buffer.
        gamma: [C], or None for x as it is, neither normed nor activated.
        past: contiguous [B, 2, H + 2, W + 2, C], the last two frames of the result of the call before; None at the
            start of a video.
        edge: ``"repeat"``: the border repeats the edge, and without ``past`` the first frame stands for it.
            ``"zero"``: zeros in both.

    Returns:
        contiguous [B, T + 2, H + 2, W + 2, C] in the type of x; the norm is computed in float32.

    Raises:
        ValueError: shapes or strides that do not fit.

    Source: docs/spec/hy_worldplay.md, section 7.1; docs/spec/matrix_game_3.md, section 9.
    """
    if edge not in EDGES:
        raise ValueError(f"edge={edge!r} is unknown; allowed: {', '.join(EDGES)}")
    if x.ndim != 5 or x.stride(-1) != 1:
        raise ValueError(f"x: shape {tuple(x.shape)}, strides {x.stride()}: [B, T, H, W, C] with adjacent channels")
    batch, _, height, width, channels = x.shape
    if gamma is not None and tuple(gamma.shape) != (channels,):
        raise ValueError(f"gamma: shape {tuple(gamma.shape)}: [{channels}] is needed")
    wanted = (batch, PAST, height + 2, width + 2, channels)
    if past is not None and (tuple(past.shape) != wanted or not past.is_contiguous()):
        raise ValueError(f"past: shape {tuple(past.shape)}, strides {past.stride()}: contiguous {wanted} is needed")
    if uses_triton(x.device):
        from li_env.kernels.extended_frames.triton import triton_extended_frames

        return triton_extended_frames(x, gamma, past, edge)
    return naive_extended_frames(x, gamma, past, edge)
