"""Scores of several seeds as rliable summarises them (Agarwal et al. 2021, arXiv 2108.13264), in plain NumPy.

The interquartile mean leaves out the lowest and the highest quarter of the scores; with five seeds it is the mean of
the middle three. Its interval comes from a stratified bootstrap: runs are drawn with replacement within every task.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000


def interquartile_mean(scores: np.ndarray) -> float:
    """Return the mean of the middle half of all scores; a quarter of them, rounded down, goes at either end."""
    ordered = np.sort(np.asarray(scores, dtype=np.float64).ravel())
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def bootstrap_interval(scores: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Return the 95 % interval of the interquartile mean: percentiles over resamples of runs.

    Args:
        scores: [runs] or [runs, tasks]; within a task, runs are drawn with replacement, each task by itself.
        seed: of the draws.
        resamples: number of draws.
    """
    table = np.asarray(scores, dtype=np.float64).reshape(len(scores), -1)
    draws = np.random.default_rng(seed).integers(len(table), size=(resamples, *table.shape))
    means = [interquartile_mean(np.take_along_axis(table, rows, 0)) for rows in draws]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def summary(scores: Sequence[float]) -> dict[str, object]:
    """Return interquartile mean, its interval and the scores of one task, JSON-ready."""
    values = np.array(scores, dtype=np.float64)
    return {"iqm": interquartile_mean(values), "interval": list(bootstrap_interval(values)), "seeds": values.tolist()}


def ranks(values: np.ndarray) -> np.ndarray:
    """Return the ranks [n] from 1 up; equal values share the mean of theirs."""
    values = np.asarray(values, dtype=np.float64)
    below = (values[None] < values[:, None]).sum(1)
    same = (values[None] == values[:, None]).sum(1)
    return below + (same + 1) / 2


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's rank correlation of paired values [n]; NaN where one side is constant."""
    a, b = (ranks(np.asarray(values)) for values in (first, second))
    a, b = a - a.mean(), b - b.mean()
    length = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / length if length else float("nan")
