"""Readable torch version of residual additions with the norm that follows them."""

from __future__ import annotations

import torch
from torch.nn.functional import layer_norm


def rows(vectors: torch.Tensor, known: int, tokens: int) -> torch.Tensor:
    """Expand [2, C] to [tokens, C]: row 0 for the first ``known`` tokens, row 1 for the others."""
    return vectors[(torch.arange(tokens, device=vectors.device) >= known).long()]


def naive_add(x: torch.Tensor, delta: torch.Tensor | None, gate: torch.Tensor | None, known: int) -> torch.Tensor:
    """Compute ``x + delta * gate`` in float32."""
    if delta is None:
        return x
    return x + (delta.float() if gate is None else delta.float() * rows(gate, known, x.shape[1]))


def naive_modulated_norm(
    x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, known: int, eps: float
) -> torch.Tensor:
    """Compute ``LN(x) * (1 + scale) + shift`` in float32."""
    tokens = x.shape[1]
    return layer_norm(x, x.shape[-1:], eps=eps) * (1 + rows(scale, known, tokens)) + rows(shift, known, tokens)


def naive_camera_norm(
    x: torch.Tensor,
    scale: torch.Tensor,
    shift: torch.Tensor,
    row_index: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    eps: float,
) -> torch.Tensor:
    """Compute ``LN((1 + scale) x + shift) * weight + bias`` in float32, scale and shift looked up by ``row_index``."""
    moved = (1 + scale[row_index.long()].float()) * x + shift[row_index.long()].float()
    return layer_norm(moved, x.shape[-1:], weight.float(), bias.float(), eps)
