"""GroupNorm and SiLU in one pass over frames whose channels are adjacent."""

from __future__ import annotations

import torch

from li_env.kernels.backend import uses_triton
from li_env.kernels.checks import check_contiguous
from li_env.kernels.group_norm.naive import naive_group_norm_silu

__all__ = ["group_norm_silu", "naive_group_norm_silu"]


def group_norm_silu(
    x: torch.Tensor,
    groups: int,
    weight: torch.Tensor,
    bias: torch.Tensor,
    offset: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> torch.Tensor:
    """Compute ``silu(GroupNorm(x + offset) * weight + bias)`` in float32.

    Args:
        x: [N, C, H, W] in any memory format; channels-last is read as it is, others are converted on a GPU.
        groups: a divisor of C.
        weight, bias: [C], of the norm.
        offset: [C], added to the channels before the norm (the bias of a convolution that left it out); None for none.
        eps: added to the variance.

    Returns:
        [N, C, H, W] in the type of x; channels-last on a GPU.

    Raises:
        ValueError: shapes or strides that do not fit.

    For inference: nothing here can be differentiated.

    Source: Wu and He, Group Normalization (2018); Elfwing et al., Sigmoid-Weighted Linear Units (2017).
    """
    if x.ndim != 4 or 0 in x.shape:
        raise ValueError(f"x: shape {tuple(x.shape)}: [frames, channels, rows, columns] is needed, none of them 0")
    channels = x.shape[1]
    if groups < 1 or channels % groups:
        raise ValueError(f"groups: {groups}: a divisor of {channels} channels is needed")
    for name, vector in (("weight", weight), ("bias", bias), ("offset", bias if offset is None else offset)):
        if tuple(vector.shape) != (channels,):
            raise ValueError(f"{name}: shape {tuple(vector.shape)}: [{channels}] is needed")
    check_contiguous(weight=weight, bias=bias, offset=offset)
    if uses_triton(x.device):
        from li_env.kernels.group_norm.triton import triton_group_norm_silu

        return triton_group_norm_silu(x, groups, weight, bias, offset, eps)
    return naive_group_norm_silu(x, groups, weight, bias, offset, eps)
