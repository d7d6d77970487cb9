"""Dense attention through torch's own fused kernels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import scaled_dot_product_attention


def attend(
    query: torch.Tensor,
    keys: Sequence[torch.Tensor],
    values: Sequence[torch.Tensor],
) -> torch.Tensor:
    """Softmax attention without a mask over concatenated key segments.

    Args:
        query: [B, H, Sq, D].
        keys, values: segments [B, H, S_i, D] in the order in which they are seen (text, context, current).

    Returns:
        [B, H, Sq, D].
    """
    key = keys[0] if len(keys) == 1 else torch.cat(tuple(keys), dim=2)
    value = values[0] if len(values) == 1 else torch.cat(tuple(values), dim=2)
    return scaled_dot_product_attention(query, key, value)
