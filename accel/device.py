"""Tensors on their way to a device, and out of the batch they were made in."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def upload(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """``values`` from the host on ``device``, without waiting for it.

    A plain copy to a GPU waits until the GPU has done everything asked of it before, so that the host could never
    work ahead. From pinned memory the copy joins the queue; torch keeps that memory until it is done.
    """
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def compact(values: torch.Tensor) -> torch.Tensor:
    """The same values without a larger tensor behind them: what is kept must not keep whole batches alive."""
    kept = values.numel() * values.element_size()
    return values if values.untyped_storage().nbytes() <= kept else values.clone()


def apart(values: torch.Tensor, sizes: Sequence[int]) -> list[torch.Tensor]:
    """Split the first dimension into contiguous pieces, each with memory of its own, in one copy.

    ``values`` may have any strides. On a GPU ``split_with_sizes_copy`` moves raw memory and ignores them, so that
    channels-last values would come out permuted: they are made contiguous first.
    """
    pieces = [values.new_empty((size, *values.shape[1:])) for size in sizes]
    torch.split_with_sizes_copy(values.contiguous(), list(sizes), out=pieces)
    return pieces
