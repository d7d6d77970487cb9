"""The nearest points are found among a few leaves, and are those that a look at all points finds."""

from __future__ import annotations

import numpy as np
import pytest

from li_env.accel.geometry import leaves
from li_env.accel.geometry.leaves import LEAF, Leaves, nearest

COUNT = 32


def by_hand(points: np.ndarray, centre: np.ndarray, reach: float) -> set[int]:
    """Return the nearest by distance, then by place; all beyond the reach are equally far."""
    squares = np.minimum(np.square(points.T.astype(np.float64) - centre).sum(axis=1), reach**2)
    return set(np.lexsort((np.arange(len(squares)), squares.round(3)))[:COUNT].tolist())


def spread(kind: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return points [3, count] whose distances differ by more than rounding."""
    if kind == "space":
        return rng.integers(0, 40, (3, count)).astype(np.float32)
    if kind == "floor":
        return np.stack([rng.integers(0, 60, count), np.zeros(count), rng.integers(0, 60, count)]).astype(np.float32)
    if kind == "line":
        return np.stack([np.arange(count), np.zeros(count), np.zeros(count)]).astype(np.float32)
    return np.zeros((3, count), np.float32)  # eight views per spot are the usual case of equal places


@pytest.mark.parametrize("kind", ["space", "floor", "line", "spot"])
@pytest.mark.parametrize("count", [COUNT, COUNT + 1, 100, 1000])
def test_they_are_those_of_a_look_at_all(kind: str, count: int) -> None:
    rng = np.random.default_rng(count)
    sets = [Leaves(spread(kind, count, rng)), Leaves(spread(kind, 3 * count, rng))]
    chosen = [sets[number] for number in rng.integers(2, size=20)]
    centres = (rng.integers(-10, 70, (20, 3)) + 0.5).astype(np.float32)
    reaches = rng.choice([3.0, 24.0, 500.0], 20)
    found = nearest(chosen, centres, reaches, COUNT)
    for row, own in enumerate(chosen):
        assert set(found[row].tolist()) == by_hand(own.points, centres[row], reaches[row])


def test_few_leaves_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    real = leaves._Joined.squares

    def counted(self: leaves._Joined, centres: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        looked.append(chosen.size * LEAF)
        return real(self, centres, chosen)

    monkeypatch.setattr(leaves._Joined, "squares", counted)
    points = Leaves(spread("floor", 4096, np.random.default_rng(0)))
    nearest([points], np.array([[30.5, 0.5, 30.5]], np.float32), np.array([24.0]), COUNT)
    assert 2 * COUNT <= sum(looked) < 4096 / 8
