import numpy as np
import pytest
import torch

from li_env.evaluation.world.frame_scores import frame_scores, over_chunks, summarised
from li_env.worlds.freedoom.efficientnet import FeatureNet

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def real():
    return np.random.default_rng(0).integers(0, 256, (2, 36, 32, 32, 3)).astype(np.uint8)


def test_equal_frames(real):
    torch.manual_seed(0)
    net = FeatureNet("lite2").eval()
    found = summarised(frame_scores(real[:, :4], real[:, :4], CPU, net))
    means = {name: entry["mean"] for name, entry in found.items()}
    assert means == {
        "psnr": 99.0, "ssim": pytest.approx(1.0), "layout": pytest.approx(1.0), "sharpness": 1.0,
        "feature_distance": pytest.approx(0.0, abs=1e-9),
    }  # fmt: skip
    other = summarised(frame_scores(real[:, 4:8], real[:, :4], CPU, net))
    assert other["feature_distance"]["mean"] > 0.01 and abs(other["layout"]["mean"]) < 0.3


def test_a_difference_of_ten_levels_is_28_decibels(real):
    grey = np.full_like(real[:, :4], 100)
    scores = frame_scores(grey + np.uint8(10), grey, CPU)
    assert scores["psnr"] == pytest.approx(20 * np.log10(25.5)) and "feature_distance" not in scores


def test_chunks_and_ranges_leave_out_what_was_given(real):
    # frame t of the rollout differs by t levels
    offsets = np.arange(36, dtype=np.uint8)[None, :, None, None, None]
    base = np.full_like(real, 100)
    found = over_chunks(frame_scores(base + offsets, base, CPU))
    levels = [20 * np.log10(255 / level) for level in range(1, 36)]
    chunks = found["by_chunk"]["psnr"]["mean"]
    assert len(chunks) == 9 and chunks[0] == pytest.approx(np.mean(levels[:3]), abs=1e-4)
    assert chunks[8] == pytest.approx(np.mean(levels[31:]), abs=1e-4)
    assert found["ranges"]["1-9"]["psnr"]["mean"] == pytest.approx(np.mean(levels), abs=1e-4)
    assert found["ranges"]["16"] is None and found["ranges"]["27-31"] is None
