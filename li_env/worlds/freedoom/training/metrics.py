"""Picture measures used while training and in the fidelity report."""

from __future__ import annotations

import torch


def psnr(a: torch.Tensor, b: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Peak signal-to-noise ratio in dB of uint8 frames [..., H, W, 3]; one value per frame.

    ``mask`` [..., H, W] bool restricts it to some pixels; frames without any give NaN.
    """
    error = (a.float() - b.float()).square().mean(-1)
    if mask is None:
        mean = error.mean((-1, -2))
    else:
        mean = (error * mask).sum((-1, -2)) / mask.sum((-1, -2))
    # 99 dB stands for identical frames.
    return torch.nan_to_num(10 * torch.log10(255.0**2 / mean), posinf=99.0, nan=float("nan")).clamp(max=99.0)


def gradient_energy(frames: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of neighbouring pixels (both directions) of uint8 frames [..., H, W, 3]: [...]."""
    pixels = frames.float()
    horizontal = (pixels[..., :, 1:, :] - pixels[..., :, :-1, :]).abs().mean((-1, -2, -3))
    vertical = (pixels[..., 1:, :, :] - pixels[..., :-1, :, :]).abs().mean((-1, -2, -3))
    return horizontal + vertical


def sharpness(generated: torch.Tensor, real: torch.Tensor) -> float:
    """Ratio of the gradient energy of generated frames to that of real ones (1 = as sharp as the game)."""
    return float(gradient_energy(generated).mean() / gradient_energy(real).mean())
