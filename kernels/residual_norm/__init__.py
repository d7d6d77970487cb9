"""Update and norms of the residual stream between two large matrix products, in one pass over it.

The stream is float32 [B, S, C]. Its first ``known`` tokens are given frames and the others are being denoised; gates,
scales and shifts therefore come as two rows [2, C], float32. Every function may overwrite ``x``: use what it returns.

Source: docs/spec/matrix_game_3.md, sections 3.6 and 3.9.
"""

from __future__ import annotations

import torch

from li_env.kernels.backend import uses_triton
from li_env.kernels.checks import check_adjacent, check_contiguous
from li_env.kernels.residual_norm.naive import naive_add, naive_camera_norm, naive_modulated_norm

__all__ = ["add_camera_norm", "add_cast", "add_modulated_norm"]


def add_modulated_norm(
    x: torch.Tensor,
    delta: torch.Tensor | None,
    gate: torch.Tensor | None,
    scale: torch.Tensor,
    shift: torch.Tensor,
    known: int,
    dtype: torch.dtype,
    eps: float = 1e-6,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute ``y = x + delta * gate`` and ``LN(y) * (1 + scale) + shift``.

    Args:
        x: float32 [B, S, C].
        delta: [B, S, C] of any float type, or None for nothing to add.
        gate: [2, C] or None for 1.
        scale, shift: [2, C].
        known: tokens that take row 0 of gate, scale and shift.
        dtype: of the second result.
        eps: of the norm.

    Returns:
        (new stream float32, normed [B, S, C] in ``dtype``).
    """
    _check(x, delta, gate, (scale, shift))
    if uses_triton(x.device):
        from li_env.kernels.residual_norm.triton import triton_residual_norm

        return triton_residual_norm(x, delta, gate, (scale, shift), None, known, dtype, eps)
    x = naive_add(x, delta, gate, known)
    return x, naive_modulated_norm(x, scale, shift, known, eps).to(dtype)


def add_camera_norm(
    x: torch.Tensor,
    delta: torch.Tensor,
    gate: torch.Tensor,
    camera: tuple[torch.Tensor, torch.Tensor],
    row_index: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    known: int,
    dtype: torch.dtype,
    eps: float = 1e-6,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute ``y = x + delta * gate``, then ``LN((1 + camera scale) y + camera shift) * weight + bias`` as new stream.

    Args:
        x, delta, gate, known, dtype, eps: as in `add_modulated_norm`.
        camera: scales and shifts, [R, C] of any float type.
        row_index: int32 [B, S], which of them each token takes.
        weight, bias: [C].

    Returns:
        (new stream float32, the same in ``dtype``).
    """
    _check(x, delta, gate, ())
    for name, vectors in zip(("camera scale", "camera shift"), camera, strict=True):
        if vectors.shape != (len(camera[0]), x.shape[2]):
            raise ValueError(f"{name}: shape {tuple(vectors.shape)}: {(len(camera[0]), x.shape[2])} is needed")
    if row_index.shape != x.shape[:2] or row_index.dtype != torch.int32:
        raise ValueError(f"row_index: {row_index.dtype} {tuple(row_index.shape)}: int32 {tuple(x.shape[:2])} is needed")
    check_adjacent(row_index=row_index)
    check_contiguous(weight=weight, bias=bias)
    if uses_triton(x.device):
        from li_env.kernels.residual_norm.triton import triton_residual_norm

        return triton_residual_norm(x, delta, gate, camera, (weight, bias), known, dtype, eps, row_index)
    x = naive_camera_norm(naive_add(x, delta, gate, known), *camera, row_index, weight, bias, eps)
    return x, x.to(dtype)


def add_cast(x: torch.Tensor, delta: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``x + delta`` as float32 and in ``dtype``."""
    _check(x, delta, None, ())
    if uses_triton(x.device):
        from li_env.kernels.residual_norm.triton import triton_residual_norm

        return triton_residual_norm(x, delta, None, None, None, 0, dtype, 0.0)
    x = naive_add(x, delta, None, 0)
    return x, x.to(dtype)


def _check(
    x: torch.Tensor, delta: torch.Tensor | None, gate: torch.Tensor | None, vectors: tuple[torch.Tensor, ...]
) -> None:
    if x.ndim != 3 or x.dtype != torch.float32:
        raise ValueError(f"x: {x.dtype} {tuple(x.shape)}: float32 [batch, tokens, channels] is needed")
    if delta is not None and delta.shape != x.shape:
        raise ValueError(f"delta: shape {tuple(delta.shape)}: {tuple(x.shape)} is needed")
    if gate is not None and delta is None:
        raise ValueError("gate: given without delta")
    for vector in (*vectors, *(() if gate is None else (gate,))):
        check_adjacent(vectors=vector)
        if vector.shape != (2, x.shape[2]) or vector.dtype != torch.float32:
            raise ValueError(f"vectors: {vector.dtype} {tuple(vector.shape)}: float32 (2, {x.shape[2]}) is needed")
