"""Checks of tensors that several kernels share; they look at shapes only, never at values."""

from __future__ import annotations

import torch

DTYPES = (torch.bfloat16, torch.float16, torch.float32)


def check_rows(name: str, x: torch.Tensor) -> None:
    """Raise ValueError unless ``x`` is [B, H, S, D] in a supported type with contiguous rows.

    B and H may be views into a larger buffer (a K/V buffer that is filled in place). S may not: the kernels read tiles
    of adjacent rows.
    """
    if x.ndim != 4:
        raise ValueError(f"{name}: shape {tuple(x.shape)}: [batch, heads, tokens, channels] is needed")
    if x.dtype not in DTYPES:
        raise ValueError(f"{name}: {x.dtype}: allowed are bfloat16, float16, float32")
    width = x.shape[3]
    if x.stride(3) != 1 or x.stride(2) != width or x.stride(0) % width or x.stride(1) % width:
        raise ValueError(f"{name}: strides {x.stride()}: the last two must be ({width}, 1), that is, rows contiguous")


def check_adjacent(**tensors: torch.Tensor | None) -> None:
    """Raise ValueError unless the last dimension of every tensor has stride 1, as the kernels read it."""
    for name, x in tensors.items():
        if x is not None and x.ndim and x.shape[-1] > 1 and x.stride(-1) != 1:
            raise ValueError(f"{name}: strides {x.stride()}: adjacent values in the last dimension are needed")


def check_contiguous(**tensors: torch.Tensor | None) -> None:
    """Raise ValueError unless every tensor is contiguous: a kernel without stride arguments would misread others."""
    for name, x in tensors.items():
        if x is not None and not x.is_contiguous():
            raise ValueError(f"{name}: strides {x.stride()}: a contiguous tensor is needed")
