"""3x3x3 convolution of frames that already carry their border and their past: no padding, channels last."""

from __future__ import annotations

import torch

from li_env.kernels.backend import uses_triton
from li_env.kernels.frame_conv.naive import naive_frame_conv

__all__ = ["fits_triton", "frame_conv", "naive_frame_conv"]


def frame_conv(
    extended: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, residual: torch.Tensor | None = None
) -> torch.Tensor:
    """Convolve frames and add ``residual``.

    Args:
        extended: contiguous [B, T + 2, H + 2, W + 2, C], from `li_env.kernels.extended_frames.extended_frames`.
        weight: [N, C, 3, 3, 3], laid out with channels last.
        bias: [N].
        residual: [B, T, H, W, N] with adjacent channels, added to the result.

    Returns:
        [B, T, H, W, N] with adjacent channels in the type of ``extended``; may be a view into a larger buffer.

    Raises:
        ValueError: shapes or strides that do not fit.
    """
    batch, frames, height, width, channels = extended.shape
    if tuple(weight.shape[1:]) != (channels, 3, 3, 3):
        raise ValueError(f"weight: shape {tuple(weight.shape)}: [N, {channels}, 3, 3, 3] is needed")
    if not weight.is_contiguous(memory_format=torch.channels_last_3d):
        raise ValueError(f"weight: strides {weight.stride()}: channels last are needed")
    if not extended.is_contiguous():
        raise ValueError(f"extended: strides {extended.stride()}: a contiguous tensor is needed")
    wanted = (batch, frames - 2, height - 2, width - 2, len(weight))
    if residual is not None and (tuple(residual.shape) != wanted or residual.stride(-1) != 1):
        raise ValueError(f"residual: shape {tuple(residual.shape)}: {wanted} with adjacent channels is needed")
    if uses_triton(extended.device) and fits_triton(extended, weight):
        from li_env.kernels.frame_conv.triton import triton_frame_conv

        return triton_frame_conv(extended, weight, bias, residual)
    return naive_frame_conv(extended, weight, bias, residual)


def fits_triton(extended: torch.Tensor, weight: torch.Tensor) -> bool:
    """Return whether the kernel takes these tensors on this device.

    Values have 16 bits, channels come in whole blocks, and the chip has major version 9 or 10.

    Those have bulk loads and the 192 KiB of shared memory per program that the kernel needs.
    """
    major = torch.cuda.get_device_capability(extended.device)[0] if extended.is_cuda else 0
    whole = extended.shape[-1] % 64 == 0 and (len(weight) % 64 == 0 or len(weight) <= 16)
    return major in (9, 10) and extended.element_size() == 2 and whole
