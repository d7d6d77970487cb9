"""Readable torch version."""

from __future__ import annotations

import torch
from torch.nn.functional import group_norm, silu


def naive_group_norm_silu(
    x: torch.Tensor,
    groups: int,
    weight: torch.Tensor,
    bias: torch.Tensor,
    offset: torch.Tensor | None,
    eps: float,
) -> torch.Tensor:
    """Compute `group_norm_silu` in readable torch."""
    exact = x.float() if offset is None else x.float() + offset.float()[:, None, None]
    return silu(group_norm(exact, groups, weight.float(), bias.float(), eps)).to(x.dtype)
