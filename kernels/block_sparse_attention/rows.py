"""Helpers of the launches of the Triton and the Gluon kernel: tensors seen as one list of rows."""

from __future__ import annotations

import torch

from li_env.kernels.tile_order import TileLayout


def descriptors_fit(x: torch.Tensor) -> bool:
    """Return whether rows of ``x`` [B, H, S, D] can be loaded by descriptor: in 16-byte units, 32-bit row numbers."""
    return x.shape[3] * x.element_size() % 16 == 0 and x.data_ptr() % 16 == 0 and row_count(x) < 2**31


def row_count(x: torch.Tensor) -> int:
    """Count the rows from the first to the last one of ``x`` [B, H, S, D] in memory."""
    return sum((size - 1) * stride for size, stride in zip(x.shape[:3], x.stride()[:3], strict=True)) // x.shape[3] + 1


def output_tensors(query: torch.Tensor, layout: TileLayout) -> tuple[torch.Tensor, torch.Tensor]:
    """Allocate output and log-sum-exp; zeros and -inf where a kernel may leave rows out."""
    tokens = query.shape[2]
    whole = all(covered == tokens for covered in layout.queries.covered) and all(layout.always.ranges)
    shape = tuple(query.shape)
    make = torch.empty if whole else torch.zeros
    output = make(shape, dtype=query.dtype, device=query.device)
    return output, torch.full(shape[:3], -torch.inf, dtype=torch.float32, device=query.device)
