"""Statistics of columns and frames as LeRobot's policies normalise with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
NAMES = ("min", "max", "mean", "std", "count", *QUANTILES)
"""Names of the statistics, in LeRobot's order."""

Statistics = dict[str, Any]
"""Statistic -> numbers: [n] for a column, [3, 1, 1] for frames; ``count`` is [1]."""

_ALL_FRAMES, _MOST_FRAMES = 100, 10_000


def column_statistics(values: np.ndarray) -> Statistics:
    """Summarise a column [R] or [R, n]."""
    table = values.reshape(len(values), -1).astype(np.float64)
    return _summary(table, len(table))


def frame_statistics(frames: np.ndarray) -> Statistics:
    """Summarise frames uint8 [F, H, W, 3] by channel, in 0 to 1; of long episodes a sample of the frames."""
    count = len(frames)
    sampled = _sampled(count)
    picked = frames[np.round(np.linspace(0, count - 1, sampled)).astype(int)]
    shares = np.stack([np.bincount(picked[..., channel].ravel(), minlength=256) for channel in range(3)], 1)
    return {name: np.reshape(value, (3, 1, 1)).tolist() if name != "count" else [sampled]
            for name, value in _histogram_summary(shares).items()}  # fmt: skip


def picture_statistics(picture: np.ndarray, count: int) -> Statistics:
    """Summarise a picture uint8 [H, W, 3] that ``count`` rows show."""
    return {**frame_statistics(picture[None]), "count": [_sampled(count)]}


def _sampled(count: int) -> int:
    """Return how many of the frames of an episode count, as LeRobot samples them."""
    sampled = count if count <= _ALL_FRAMES else min(_MOST_FRAMES, int(count**0.75))
    return max(sampled, min(count, _ALL_FRAMES))


def merged(parts: Sequence[Mapping[str, Any]]) -> Statistics:
    """Merge statistics of episodes: mean and deviation by counts, quantiles by their envelope.

    LeRobot bounds quantiles like that since its pull request 3804; 0.6.1 and older average them, which is no quantile.
    """
    weights = np.array([part["count"][0] for part in parts], np.float64)
    stacked = {name: np.array([part[name] for part in parts], np.float64) for name in parts[0] if name != "count"}
    weight = weights.reshape(-1, *[1] * (stacked["mean"].ndim - 1)) / weights.sum()
    mean = (stacked["mean"] * weight).sum(0)
    variance = ((stacked["std"] ** 2 + (stacked["mean"] - mean) ** 2) * weight).sum(0)
    result: dict[str, np.ndarray] = {"min": stacked["min"].min(0), "max": stacked["max"].max(0), "mean": mean}
    result["std"] = np.sqrt(variance)
    quantiles = {
        name: stacked[name].min(0) if share < 0.5 else stacked[name].max(0) if share > 0.5 else
        (stacked[name] * weight).sum(0)
        for name, share in QUANTILES.items()
    }  # fmt: skip
    joined = {**{name: value.tolist() for name, value in result.items()}, "count": [int(weights.sum())]}
    return {**joined, **{name: value.tolist() for name, value in quantiles.items()}}


def _summary(table: np.ndarray, count: int) -> Statistics:
    found = {
        "min": table.min(0).tolist(),
        "max": table.max(0).tolist(),
        "mean": table.mean(0).tolist(),
        "std": table.std(0).tolist(),
        "count": [count],
    }
    quantiles = {
        name: np.quantile(table, share, axis=0, method="inverted_cdf").tolist() for name, share in QUANTILES.items()
    }
    return {**found, **quantiles}


def _histogram_summary(shares: np.ndarray) -> dict[str, np.ndarray]:
    """Summarise pixels from their histogram [256, 3]: exact and without a copy of the frames as numbers."""
    levels = np.arange(256)[:, None] / 255.0
    total = shares.sum(0)
    mean = (levels * shares).sum(0) / total
    below = shares.cumsum(0)
    there = shares > 0
    found = {
        "min": there.argmax(0) / 255.0,
        "max": (255 - there[::-1].argmax(0)) / 255.0,
        "mean": mean,
        "std": np.sqrt(((levels - mean) ** 2 * shares).sum(0) / total),
        "count": total,
    }
    return {**found, **{name: (below >= share * total).argmax(0) / 255.0 for name, share in QUANTILES.items()}}
