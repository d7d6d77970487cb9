"""Torch version: the library's convolution with channels last."""

from __future__ import annotations

import torch
from torch.nn.functional import conv3d


def naive_frame_conv(
    extended: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, residual: torch.Tensor | None
) -> torch.Tensor:
    """Compute `frame_conv` in readable torch."""
    out = conv3d(extended.permute(0, 4, 1, 2, 3), weight, bias).permute(0, 2, 3, 4, 1)
    # Libraries may answer in another layout.
    out = out if out.stride(-1) == 1 else out.contiguous()
    return out if residual is None else out + residual
