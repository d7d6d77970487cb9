"""Statistics of columns and frames as LeRobot's policies normalise with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
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
    # OpenCV counts without Python's lock, which the stepping thread needs. Its counts of one frame are exact.
    shares = np.zeros((256, 3), np.int64)
    for frame in frames[np.round(np.linspace(0, count - 1, sampled)).astype(int)]:
        for channel in range(3):
            shares[:, channel] += cv2.calcHist([frame], [channel], None, [256], [0, 256]).ravel().astype(np.int64)
    return {name: np.reshape(value, (3, 1, 1)).tolist() if name != "count" else [sampled]
            for name, value in _histogram_summary(shares).items()}  # fmt: skip


def picture_statistics(picture: np.ndarray, count: int) -> Statistics:
    """Summarise a picture uint8 [H, W, 3] that ``count`` rows show."""
    return {**frame_statistics(picture[None]), "count": [_sampled(count)]}


def _sampled(count: int) -> int:
    """Return how many of the frames of an episode count, as LeRobot samples them."""
    sampled = count if count <= _ALL_FRAMES else min(_MOST_FRAMES, int(count**0.75))
    return max(sampled, min(count, _ALL_FRAMES))


class Merged:
    """Statistics of a dataset, from those of its episodes one by one; nothing of an episode is kept.

    Mean and deviation are merged by counts, quantiles by their envelope: LeRobot bounds them like that since its pull
    request 3804; 0.6.1 and older average them, which is no quantile.
    """

    def __init__(self) -> None:
        self._count = 0
        self._values: dict[str, np.ndarray] = {}
        self._squares = np.zeros(())

    def add(self, part: Mapping[str, Any]) -> None:
        """Take the statistics of an episode."""
        count, new = part["count"][0], {name: np.array(part[name], np.float64) for name in part if name != "count"}
        total = self._count + count
        old = self._values or new
        away, share = new["mean"] - old["mean"], count / total
        self._squares = self._squares + new["std"] ** 2 * count + away**2 * self._count * share
        values = {"min": np.minimum(old["min"], new["min"]), "max": np.maximum(old["max"], new["max"])}
        for name, quantile in QUANTILES.items():
            bound = np.minimum if quantile < 0.5 else np.maximum
            values[name] = bound(old[name], new[name]) if quantile != 0.5 else _between(old[name], new[name], share)
        self._values = {**values, "mean": _between(old["mean"], new["mean"], share)}
        self._count = total

    def result(self) -> Statistics:
        """Return the statistics of all episodes so far."""
        found = {**self._values, "std": np.sqrt(self._squares / self._count)}
        return {name: [self._count] if name == "count" else found[name].tolist() for name in NAMES}


def _between(old: np.ndarray, new: np.ndarray, share: float) -> np.ndarray:
    """Return the mean of two values, of which the new one counts as much as its share."""
    return old + (new - old) * share


def _summary(table: np.ndarray, count: int) -> Statistics:
    found = {
        "min": table.min(0).tolist(),
        "max": table.max(0).tolist(),
        "mean": table.mean(0).tolist(),
        "std": table.std(0).tolist(),
        "count": [count],
    }
    found_at = np.quantile(table, list(QUANTILES.values()), axis=0, method="inverted_cdf")
    quantiles = {name: values.tolist() for name, values in zip(QUANTILES, found_at, strict=True)}
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
