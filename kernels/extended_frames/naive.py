"""Readable torch version of the input of a causal convolution."""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn.functional import pad, silu

Edge = Literal["repeat", "zero"]


def naive_extended_frames(
    x: torch.Tensor, gamma: torch.Tensor | None, past: torch.Tensor | None, edge: Edge = "repeat"
) -> torch.Tensor:
    """Compute `extended_frames` in readable torch."""
    if gamma is not None:
        wide = x.float()
        length = wide.square().sum(-1, keepdim=True).sqrt().clamp_min(1e-12)
        x = silu(wide * (x.shape[-1] ** 0.5 / length) * gamma.float()).to(x.dtype)
    # Channels in front: torch repeats the edges of the last three axes only.
    mode = "replicate" if edge == "repeat" else "constant"
    bordered = pad(x.permute(0, 4, 1, 2, 3), (1, 1, 1, 1, 0, 0), mode=mode).permute(0, 2, 3, 4, 1)
    if past is None:
        first = bordered[:, :1] if edge == "repeat" else torch.zeros_like(bordered[:, :1])
        past = first.expand(-1, 2, -1, -1, -1)
    return torch.cat([past, bordered], dim=1).contiguous()
