"""Picture measures: PSNR, SSIM and sharpness of uint8 frames.

Frames are tensors uint8 [..., H, W, 3] on any device; every measure gives one value per frame. A mask [..., H, W] bool
restricts a measure to some pixels; a frame without any gives NaN.
"""

from __future__ import annotations

import functools
import math

import torch

PSNR_OF_EQUAL_FRAMES = 99.0
"""Decibels that stand for identical frames."""

_WINDOW, _SIGMA = 11, 1.5
_STABILISERS = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2


def psnr(a: torch.Tensor, b: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Peak signal-to-noise ratio of every frame, in dB; the one definition in this package.

    10 log10(255^2 / e), where e is the mean squared difference of one frame over its pixels and colour channels, in
    levels of 0 to 255; at most `PSNR_OF_EQUAL_FRAMES`. The mean of such values over frames is a mean of decibels, which
    frames that are nearly equal lift: `pooled_psnr` is the PSNR of many frames together.

    Args:
        a, b: uint8 [..., H, W, 3].
        mask: bool [..., H, W]: which pixels count; all without it.

    Returns:
        float [...]; NaN for a frame of which no pixel counts.
    """
    error = (a.float() - b.float()).square().mean(-1)
    mean = _mean(error, mask)
    # the floor lies below the error of one level in one value of a large frame, so it meets equal frames only
    decibels = 10 * torch.log10(255.0**2 / mean.clamp(min=1e-12))
    return decibels.clamp(max=PSNR_OF_EQUAL_FRAMES)


def pooled_psnr(decibels: torch.Tensor) -> float:
    """Pool the PSNR of frames, in dB: 10 log10(255^2 / e), e being the mean of their mean squared differences.

    Args:
        decibels: what `psnr` gives for frames of one size, any shape, at least one value. Frames at
            `PSNR_OF_EQUAL_FRAMES` count as differing by that much, which is nothing beside any other.
    """
    return float(-10 * torch.log10((10 ** (-decibels.double() / 10)).mean()))


def ssim(a: torch.Tensor, b: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Structural similarity: [...], 1 for identical frames.

    Wang et al. 2004: Gaussian window of 11 x 11 with a standard deviation of 1.5 pixels, K1 = 0.01, K2 = 0.03, each
    colour channel by itself, then the mean. Only windows that lie wholly inside the frame count, and with a mask those
    whose centre is in it.
    """
    if min(a.shape[-3:-1]) < _WINDOW:
        raise ValueError(f"frames: {list(a.shape)} is too small; allowed: height and width of {_WINDOW} or more")
    x, y = (frames.float().movedim(-1, -3).flatten(0, -3) for frames in (a, b))
    # variances are differences of squares: without the frame's mean float32 keeps more of their digits
    shift_x, shift_y = x.mean((-1, -2), keepdim=True), y.mean((-1, -2), keepdim=True)
    x, y = x - shift_x, y - shift_y
    centred_x, centred_y, square_x, square_y, product = _blur(torch.stack((x, y, x * x, y * y, x * y)))
    mean_x, mean_y = centred_x + shift_x, centred_y + shift_y
    variance_x, variance_y = square_x - centred_x**2, square_y - centred_y**2
    covariance = product - centred_x * centred_y
    first, second = _STABILISERS
    similarity = (2 * mean_x * mean_y + first) / (mean_x**2 + mean_y**2 + first)
    similarity = similarity * (2 * covariance + second) / (variance_x + variance_y + second)
    edge = _WINDOW // 2
    values = similarity.unflatten(0, (*a.shape[:-3], 3)).mean(-3)
    return _mean(values, None if mask is None else mask[..., edge:-edge, edge:-edge])


def gradient_energy(frames: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Mean absolute difference of neighbouring pixels, across plus down, in levels: [...].

    With a mask, only pairs of neighbours that both lie in it count.
    """
    pixels = frames.float()
    across = (pixels[..., :, 1:, :] - pixels[..., :, :-1, :]).abs().mean(-1)
    down = (pixels[..., 1:, :, :] - pixels[..., :-1, :, :]).abs().mean(-1)
    if mask is None:
        return _mean(across, None) + _mean(down, None)
    return _mean(across, mask[..., :, 1:] & mask[..., :, :-1]) + _mean(down, mask[..., 1:, :] & mask[..., :-1, :])


def sharpness(generated: torch.Tensor, real: torch.Tensor) -> float:
    """Ratio of the gradient energy of generated frames to that of real ones (1 = as sharp as the game)."""
    return float(gradient_energy(generated).mean() / gradient_energy(real).mean())


def _mean(values: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Mean over the last two dimensions, of the masked entries if there is a mask."""
    if mask is None:
        return values.mean((-1, -2))
    return (values * mask).sum((-1, -2)) / mask.sum((-1, -2))


def _blur(planes: torch.Tensor) -> torch.Tensor:
    """Gaussian windows inside [..., H, W]: [..., H - 10, W - 10].

    Sums of shifted planes: a convolution would round to ten bits on a GPU.
    """
    weights = [math.exp(-((offset - _WINDOW // 2) ** 2) / (2 * _SIGMA**2)) for offset in range(_WINDOW)]
    for dim in (-1, -2):
        size = planes.shape[dim] - _WINDOW + 1
        parts = (planes.narrow(dim, offset, size) * weight for offset, weight in enumerate(weights))
        planes = functools.reduce(torch.add, parts) / sum(weights)
    return planes
