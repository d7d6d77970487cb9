from __future__ import annotations

import numpy as np
import pytest
import torch

from li_env.metrics import gradient_energy, pooled_psnr, psnr, sharpness, ssim


def _frames(count: int = 3, height: int = 24, width: int = 32, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, height, width, 3), dtype=torch.uint8, generator=generator)


def _changed(frames: torch.Tensor, by: int) -> torch.Tensor:
    noise = torch.randint(-by, by + 1, frames.shape, generator=torch.Generator().manual_seed(1))
    return (frames.int() + noise).clamp(0, 255).to(torch.uint8)


def test_psnr_of_a_constant_error():
    dark, bright = torch.full((2, 8, 8, 3), 100, dtype=torch.uint8), torch.full((2, 8, 8, 3), 110, dtype=torch.uint8)
    torch.testing.assert_close(psnr(dark, bright), torch.full((2,), 20 * float(np.log10(25.5))))
    assert psnr(dark, dark).tolist() == [99.0, 99.0]


def test_pooled_psnr_is_that_of_all_frames_as_one():
    real = _frames(6)
    generated = torch.stack([_changed(frame, by) for frame, by in zip(real, (0, 1, 2, 5, 90, 40), strict=True)])
    one = psnr(generated.flatten(0, 1), real.flatten(0, 1))
    assert pooled_psnr(psnr(generated, real)) == pytest.approx(float(one), abs=1e-4)
    assert pooled_psnr(psnr(generated, real).view(2, 3)) == pytest.approx(float(one), abs=1e-4)
    assert pooled_psnr(psnr(generated, real)) < psnr(generated, real).mean() - 10
    assert pooled_psnr(psnr(real, real)) == pytest.approx(99.0)


def test_masked_psnr_looks_at_nothing_else():
    real = _frames()
    generated = real.clone()
    generated[:, :, 16:] = 255 - generated[:, :, 16:]
    left = torch.zeros(real.shape[:3], dtype=torch.bool)
    left[:, :, :16] = True
    assert psnr(generated, real, left).tolist() == [99.0] * 3
    assert psnr(generated, real, ~left).max() < 20
    assert psnr(generated, real, torch.zeros_like(left)).isnan().all()


def _naive_ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute the textbook's formula window by window, for one frame: [H - 10, W - 10]."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    out = np.zeros((a.shape[0] - 10, a.shape[1] - 10))
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            for channel in range(3):
                x = a[row : row + 11, column : column + 11, channel].astype(float)
                y = b[row : row + 11, column : column + 11, channel].astype(float)
                mean_x, mean_y = (window * x).sum(), (window * y).sum()
                var_x, var_y = (window * (x - mean_x) ** 2).sum(), (window * (y - mean_y) ** 2).sum()
                cov = (window * (x - mean_x) * (y - mean_y)).sum()
                top = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
                out[row, column] += top / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)) / 3
    return out


def test_ssim_is_the_textbook_s():
    real = _frames()
    generated = _changed(real, 60)
    expected = [_naive_ssim(a, b) for a, b in zip(generated.numpy(), real.numpy(), strict=True)]
    torch.testing.assert_close(
        ssim(generated, real).double(), torch.tensor([m.mean() for m in expected]), atol=1e-5, rtol=0
    )
    mask = torch.rand(real.shape[:3], generator=torch.Generator().manual_seed(2)) < 0.3
    masked = [m[inside[5:-5, 5:-5]].mean() for m, inside in zip(expected, mask.numpy(), strict=True)]
    torch.testing.assert_close(ssim(generated, real, mask).double(), torch.tensor(masked), atol=1e-5, rtol=0)


def test_ssim_keeps_leading_dimensions_and_knows_equal_frames():
    frames = _frames(6).unflatten(0, (2, 3))
    assert ssim(frames, frames).shape == (2, 3)
    torch.testing.assert_close(ssim(frames, frames), torch.ones(2, 3))
    with pytest.raises(ValueError, match="allowed: height and width of 11 or more"):
        ssim(frames[..., :10, :, :], frames[..., :10, :, :])


def test_gradient_energy_counts_edges():
    frames = torch.zeros((1, 4, 6, 3), dtype=torch.uint8)
    frames[:, :, 3:] = 60  # one edge in the five pairs of each row
    torch.testing.assert_close(gradient_energy(frames), torch.tensor([12.0]))
    left = torch.zeros((1, 4, 6), dtype=torch.bool)
    left[..., :3] = True
    assert gradient_energy(frames, left).tolist() == [0.0]
    left[..., 3] = True
    torch.testing.assert_close(gradient_energy(frames, left), torch.tensor([20.0]))


def test_sharpness_of_halved_contrast_is_half():
    real = _frames() // 2 * 2
    assert sharpness(real // 2, real) == pytest.approx(0.5)
    assert sharpness(real, real) == 1.0
