"""Readable torch version."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import layer_norm


def naive_gated_norm(
    z: torch.Tensor,
    branches: Sequence[torch.Tensor],
    gate: torch.Tensor | None,
    shift: torch.Tensor,
    scale: torch.Tensor,
    frames: torch.Tensor,
) -> torch.Tensor:
    """Compute `gated_norm` in readable torch."""
    if gate is not None:
        update = branches[0] if len(branches) == 1 else branches[0] + branches[1]
        z += gate[:, frames] * update
    normed = layer_norm(z, z.shape[-1:], eps=1e-6)
    return normed * (1 + scale[:, frames]) + shift[:, frames]
