import numpy as np
import pytest
import torch

from li_env.evaluation.fidelity.scores import by_chunk, grouped, joined, ratio, score, summaries, summary

CPU = torch.device("cpu")


def test_a_trajectory_counts_once_however_many_frames_it_has():
    values = np.array([[1.0, 3.0], [10.0, np.nan], [np.nan, np.nan]])
    assert summary(values) == {"mean": 6.0, "std": 4.0, "n": 2}
    assert summary(np.full((2, 3), np.nan)) == {"mean": None, "std": None, "n": 0}


def test_ratios_are_of_sums():
    found = ratio(np.array([[1.0, 2.0], [4.0, np.nan]]), np.array([[2.0, 2.0], [4.0, 1.0]]))
    assert found == {"mean": pytest.approx(7 / 8), "std": pytest.approx(0.125), "n": 2}
    assert ratio(np.ones((1, 1)), np.zeros((1, 1)))["mean"] is None


def test_scores_of_frames():
    real = np.random.default_rng(0).integers(0, 256, (2, 3, 24, 32, 3)).astype(np.uint8)
    generated = real.copy()
    generated[1] = 128
    found = summaries(score(generated, real, CPU))
    scores = score(generated, real, CPU)
    assert {name: values.shape for name, values in scores.items()} == dict.fromkeys(scores, (2, 3))
    assert scores["psnr"][0].tolist() == [99.0] * 3 and scores["psnr"][1].max() < 15
    assert found["sharpness"]["mean"] == pytest.approx(0.5, abs=0.02)
    assert found["ssim"]["n"] == 2


def test_masked_scores_need_enough_pixels():
    real = np.random.default_rng(0).integers(0, 256, (1, 2, 24, 32, 3)).astype(np.uint8)
    mask = torch.zeros((1, 2, 24, 32), dtype=torch.bool)
    mask[0, 0, 6:18, 6:18] = True
    mask[0, 1, 8, 8] = True
    scores = score(255 - real, real, CPU, mask)
    assert np.isfinite(scores["psnr"][0, 0]) and all(np.isnan(values[0, 1]) for values in scores.values())


def test_gathering():
    scores = {"psnr": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])}
    np.testing.assert_array_equal(grouped(scores, [4, 9, 4])["psnr"], [[1, 2, 5, 6], [3, 4, np.nan, np.nan]])
    assert joined([scores, scores])["psnr"].shape == (3, 4)
    assert by_chunk([{"mean": 1.0, "std": 0.5, "n": 2}, {"mean": None, "std": None, "n": 0}]) == {
        "mean": [1.0, None], "std": [0.5, None], "n": [2, 0],
    }  # fmt: skip
