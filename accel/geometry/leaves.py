"""Leaves: points in groups that lie together, so that the nearest ones are found without looking at all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEAF = 16
"""Points of a leaf."""

_BITS = 10
"""Bits per axis of a place on the curve that strings points together."""

_SLACK = 1e-3
"""Share by which a limit is widened: distances are rounded before points are chosen."""

_FIRST = 4
"""Leaves beyond the fewest that could hold the nearest points; they are looked at to know how far to look."""


class Leaves:
    """Boxes around groups of points that follow each other on a Z-order curve.

    Args:
        points: [3, n] float32, one or more.
    """

    def __init__(self, points: np.ndarray) -> None:
        self.points = points
        low = points.min(axis=1, keepdims=True)
        width = max(float((points - low).max()), 1e-9)
        places = ((points - low) * ((2**_BITS - 1) / width)).astype(np.int64)
        code = np.zeros(points.shape[1], np.int64)
        for bit in range(_BITS):
            for axis in range(3):
                code |= ((places[axis] >> bit) & 1) << (3 * bit + axis)
        order = np.argsort(code, kind="stable")
        self.members = np.append(order, np.full(-len(order) % LEAF, -1)).reshape(-1, LEAF)
        """Places of the points of every leaf; the last one is filled up with -1."""
        boxes = points[:, np.where(self.members < 0, order[-1], self.members)]
        self.low, self.high = boxes.min(axis=2), boxes.max(axis=2)

    def __len__(self) -> int:
        return self.points.shape[1]


def nearest(sets: Sequence[Leaves], centres: np.ndarray, reaches: np.ndarray, count: int) -> np.ndarray:
    """Return the places [K, count] of the points nearest to each centre, in no order.

    Squared distances are rounded, and all beyond the reach are equal. Distance and place make one whole number per
    point. No two are equal, so the choice does not depend on how a partition works; ties go to the first.

    Args:
        sets: points to choose from, one set per centre, each of ``count`` points or more.
        centres: [K, 3] float32.
        reaches: [K] distances.
        count: how many.
    """
    joined = _Joined(sets)
    near = joined.distances(centres)
    order = np.argsort(near, axis=1)
    squares = (reaches**2).astype(np.float32)[:, None]

    # The nearest leaves say how far the wanted points are at most; only leaves that begin within that are looked at.
    first = order[:, : -(-count // LEAF) + _FIRST]
    farthest = np.partition(joined.squares(centres, first)[1], count - 1, axis=1)[:, count - 1 : count]
    limits = np.minimum(farthest, squares) * np.float32(1 + _SLACK)
    needed = (near <= limits).sum(axis=1, keepdims=True)
    chosen = order[:, : needed.max()]
    places, away = joined.squares(centres, chosen)
    kept = np.repeat(np.arange(chosen.shape[1]) < needed, LEAF, axis=1) & np.isfinite(away)
    if (open_ended := limits >= squares).any():  # there the first points of all may be among the wanted ones
        kept &= (places >= count) | ~open_ended
        more, theirs = joined.first(centres, count)
        places, away = np.concatenate([places, more], axis=1), np.concatenate([away, theirs], axis=1)
        kept = np.concatenate([kept, np.broadcast_to(open_ended, more.shape)], axis=1)

    bits = np.frexp(np.array([len(each) for each in sets])[:, None])[1]
    levels = np.ldexp(1.0, 31 - bits)
    scale = ((levels - 1) / reaches[:, None] ** 2).astype(np.float32)
    most = np.minimum((levels - 2).astype(np.float32), np.nextafter(levels.astype(np.float32), np.float32(0)))
    rounded = np.minimum(np.where(kept, away, 0) * scale, most).astype(np.int32)
    codes = np.where(kept, (rounded << bits) | places.astype(np.int32), np.iinfo(np.int32).max)
    return np.partition(codes, count - 1, axis=1)[:, :count] & ((1 << bits) - 1)


class _Joined:
    """Leaves of several sets in one array each."""

    def __init__(self, sets: Sequence[Leaves]) -> None:
        own = {id(each): each for each in sets}
        numbers = {key: number for number, key in enumerate(own)}
        rows = np.array([numbers[id(each)] for each in sets])
        counts = np.array([len(each.members) for each in own.values()])
        sizes = np.array([len(each) for each in own.values()])
        self._leaves = (np.cumsum(counts) - counts)[rows][:, None]
        self._points = (np.cumsum(sizes) - sizes)[rows][:, None]
        self._counts = counts[rows][:, None]
        self._low, self._high, self._at = (
            np.concatenate([getattr(each, name) for each in own.values()], axis=1) for name in ("low", "high", "points")
        )
        self._members = np.concatenate([each.members for each in own.values()])

    def distances(self, centres: np.ndarray) -> np.ndarray:
        """Return the squared distance [K, leaves] to every leaf's box; infinite where a set has fewer leaves."""
        numbers = np.arange(self._counts.max())
        rows = self._leaves + np.minimum(numbers, self._counts - 1)
        centre = centres.T[..., None]
        away = np.maximum(self._low.take(rows, axis=1) - centre, centre - self._high.take(rows, axis=1))
        np.maximum(away, 0, out=away)
        away *= away
        found: np.ndarray = away.sum(axis=0)
        found[numbers >= self._counts] = np.inf
        return found

    def squares(self, centres: np.ndarray, leaves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return places and squared distances [K, LEAF * n] of the points of ``leaves`` [K, n]; infinite for none."""
        rows = self._leaves + np.minimum(leaves, self._counts - 1)
        places = self._members.take(rows, axis=0).reshape(len(rows), -1)
        missing = (places < 0) | np.repeat(leaves >= self._counts, LEAF, axis=1)
        away = self._away(centres, np.maximum(places, 0))
        away[missing] = np.inf
        return places, away

    def first(self, centres: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the places [K, count] of the first points of every set, and their squared distances."""
        places = np.broadcast_to(np.arange(count), (len(centres), count))
        return places, self._away(centres, places)

    def _away(self, centres: np.ndarray, places: np.ndarray) -> np.ndarray:
        away = self._at.take(self._points + places, axis=1) - centres.T[..., None]
        away *= away
        found: np.ndarray = away[0] + away[1] + away[2]
        return found
