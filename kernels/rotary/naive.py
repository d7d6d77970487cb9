"""Readable torch version of the rotary embedding."""

from __future__ import annotations

import torch


def apply_rotary(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate adjacent channel pairs (x_2j, x_2j+1) by per-token angles.

    Args:
        x: [..., tokens, D], any float type.
        cos, sin: broadcastable to [..., tokens, D / 2], float32.

    Returns:
        Same shape and dtype as ``x``; the rotation itself runs in float32.

    Source: docs/spec/hy_worldplay.md, section 3.6.
    """
    first, second = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    rotated = torch.stack((first * cos - second * sin, first * sin + second * cos), dim=-1)
    return rotated.flatten(-2).to(x.dtype)
