"""The statistics of seeds, against values worked out by hand."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest


def test_interquartile_mean():
    mean = import_module("score_statistics").interquartile_mean
    assert mean([0.9, 0.1, 0.5, 0.4, 0.6]) == pytest.approx(0.5)  # 0.4, 0.5, 0.6
    assert mean([0, 1, 2, 3, 4, 5, 6, 100]) == pytest.approx(3.5)  # 2, 3, 4, 5
    assert mean([0.2, 0.8, 0.5]) == pytest.approx(0.5)  # nothing is cut
    assert mean(np.array([[0.0, 10.0], [4.0, 6.0]])) == pytest.approx(5.0)  # 4, 6


def test_interval_of_few_values_that_can_be_counted():
    """Two runs: a quarter of the draws is (0, 0), a half mixed, a quarter (1, 1)."""
    module = import_module("score_statistics")
    assert module.bootstrap_interval(np.array([0.0, 1.0])) == (0.0, 1.0)
    assert module.bootstrap_interval(np.array([0.7, 0.7, 0.7])) == pytest.approx((0.7, 0.7))
    low, high = module.bootstrap_interval(np.arange(20.0))
    assert low < 9.5 < high and high - low < 10
    found = module.summary([0.9, 0.1, 0.5, 0.4, 0.6])
    assert found["iqm"] == pytest.approx(0.5) and found["interval"][0] <= 0.5 <= found["interval"][1]


def test_ranks_and_their_correlation():
    module = import_module("score_statistics")
    np.testing.assert_array_equal(module.ranks([3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0])
    assert module.rank_correlation([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1.0)
    assert module.rank_correlation([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)
    # ranks 1 2 3 4 5 and 2 1 4 3 5: 1 - 6 * (1 + 1 + 1 + 1) / (5 * 24)
    assert module.rank_correlation([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]) == pytest.approx(0.8)
    assert np.isnan(module.rank_correlation([1, 1], [1, 2]))
