"""Copies between host and device, and tensors split from a batch without shared storage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch


def to_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy ``values`` from the host to ``device`` without waiting for the device.

    A plain copy to a GPU waits until the GPU has finished its queue, so the host could never work ahead. A copy from
    pinned memory joins the queue instead; torch keeps that memory until the copy is done.
    """
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def on_host(values: Any) -> np.ndarray:
    """Return an array as it is, and a tensor as an array on the host."""
    return values.cpu().numpy() if isinstance(values, torch.Tensor) else values


def on_device(values: Any, device: torch.device) -> torch.Tensor:
    """Return a tensor on ``device``; from an array a copy, because the array may be read-only."""
    return values.to(device) if isinstance(values, torch.Tensor) else torch.tensor(values, device=device)


def own_storage(values: torch.Tensor) -> torch.Tensor:
    """Return the same values, copied if they are a view of a larger tensor.

    A kept view would keep the storage of its whole batch alive.
    """
    kept = values.numel() * values.element_size()
    return values if values.untyped_storage().nbytes() <= kept else values.clone()


def unbatch(values: torch.Tensor, sizes: Sequence[int]) -> list[torch.Tensor]:
    """Split the first dimension into contiguous pieces, each with its own storage, in one copy.

    ``values`` may have any strides. On a GPU ``split_with_sizes_copy`` moves raw memory and ignores them, so that
    channels-last values would come out permuted: they are made contiguous first.
    """
    pieces = [values.new_empty((size, *values.shape[1:])) for size in sizes]
    torch.split_with_sizes_copy(values.contiguous(), list(sizes), out=pieces)
    return pieces
