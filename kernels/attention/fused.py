"""Dense attention over keys that already lie behind each other, by the fastest of torch's fused kernels."""

from __future__ import annotations

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

_FASTEST_FIRST = [
    SDPBackend.CUDNN_ATTENTION,  # long sequences on an H200: 565 TFLOP/s
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]


def attend_joined(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Softmax attention without a mask: query [B, H, Sq, D] over key and value [B, H, Sk, D] -> [B, H, Sq, D].

    The channels of a head are adjacent; heads and tokens may have any strides, in the result too.
    """
    if query.device.type != "cuda":
        return scaled_dot_product_attention(query, key, value)
    with sdpa_kernel(_FASTEST_FIRST, set_priority=True):
        return scaled_dot_product_attention(query, key, value)
