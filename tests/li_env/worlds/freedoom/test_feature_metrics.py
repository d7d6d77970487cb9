"""Measures that look at pictures through a network."""

import pytest
import torch

from li_env.worlds.freedoom.efficientnet import FeatureNet
from li_env.worlds.freedoom.feature_metrics import compare, feature_distance, frechet_distance


def test_distance_compares_directions_only() -> None:
    right, up = torch.zeros(2, 3, 4, 5), torch.zeros(2, 3, 4, 5)
    right[:, 0], up[:, 1] = 1, 5
    other = right.clone()
    other[1] = up[1]
    assert feature_distance([right], [7 * right]).tolist() == [0, 0]
    assert feature_distance([right, right], [other, right]).tolist() == pytest.approx([0, 1])


def test_frechet_distance_of_normal_distributions() -> None:
    """Closed form of independent components: squares of differences of means and of standard deviations."""
    torch.manual_seed(0)
    standard = torch.randn(4000, 3)
    standard = (standard - standard.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(standard.T))).T
    shifted = standard * torch.tensor([1.0, 2.0, 0.5]) + torch.tensor([3.0, 0.0, 0.0])
    assert frechet_distance(standard, shifted) == pytest.approx(9 + 1 + 0.25, rel=1e-4)
    assert frechet_distance(standard, standard) == pytest.approx(0, abs=1e-4)


def test_frechet_distance_with_fewer_vectors_than_components() -> None:
    torch.manual_seed(0)
    few = torch.randn(8, 30)
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-3)
    assert frechet_distance(few, few + 1) == pytest.approx(30, rel=1e-3)

    with pytest.raises(ValueError, match="1 vectors have no Frechet distance; allowed: 2 or more"):
        frechet_distance(few[:1], few)


def test_report_of_frames() -> None:
    torch.manual_seed(0)
    real = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    nets = [FeatureNet("lite0"), FeatureNet("lite2")]
    same, other = compare(real, real, nets, 2), compare(real.flip(1), real, nets, 2)
    names = ["psnr", "ssim", "sharpness", "lite0_distance", "lite0_frechet", "lite2_distance", "lite2_frechet"]
    assert list(same) == names
    assert same["psnr"] == 99 and same["sharpness"] == 1 and same["lite2_distance"] == 0
    assert other["psnr"] < 20 and other["ssim"] < 0.5 and other["lite2_distance"] > 0.01
