"""Lengths of paths in a scanned place whose map nobody knows: along where the camera has been."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from li_env.accel.ground_truth import BatchedField
from li_env.accel.grouping import equal_groups

JOINED = 1.5
"""Places are joined up to this many times the usual distance between neighbouring places."""

NEAREST = 4
"""Places by which a point joins the graph."""

GOALS = 64
"""Most goals whose lengths are kept."""


class ScanPaths:
    """Graph over the places of a scan, with the lengths of its shortest paths.

    Each place is joined to its neighbours, and the graph is connected: the shortest links that connect all places are
    always there. A wall between two neighbouring places is not known.

    Args:
        poses: [n, 4, 4] camera-to-world of the views.
    """

    def __init__(self, poses: np.ndarray) -> None:
        self.places = np.unique(poses[:, [0, 2], 3].round(3), axis=0)
        """Places [k, 2], x and z in length units."""
        links, lengths = _spanning_links(self.places)
        self._reach = JOINED * float(np.median(lengths)) if len(lengths) else np.inf
        self._neighbours: list[dict[int, float]] = [{} for _ in self.places]
        for (one, two), length in zip(links, lengths, strict=True):
            self._join(int(one), int(two), float(length))
        for one, place in enumerate(self.places):
            away = np.hypot(*(self.places[one + 1 :] - place).T)
            for offset in np.flatnonzero(away <= self._reach):
                self._join(one, one + 1 + int(offset), float(away[offset]))
        self._field = lru_cache(maxsize=GOALS)(self._search)

    def to(self, goal: tuple[float, float]) -> PathsToGoal:
        """Return the lengths of the shortest paths to a goal (x, z)."""
        return PathsToGoal(self.places, self._field(*goal), np.array(goal), self._reach)

    def _join(self, one: int, two: int, length: float) -> None:
        self._neighbours[one][two] = self._neighbours[two][one] = length

    def _search(self, x: float, z: float) -> np.ndarray:
        """Compute the lengths [k] from all places to a goal (Dijkstra)."""
        lengths = np.full(len(self.places), np.inf)
        nearest, away = _nearest(self.places, np.array([[x, z]]), self._reach)
        waiting = list(zip(away[0].tolist(), nearest[0].tolist(), strict=True))
        heapq.heapify(waiting)
        while waiting:
            length, place = heapq.heappop(waiting)
            if length < lengths[place]:
                lengths[place] = length
                for other, step in self._neighbours[place].items():
                    heapq.heappush(waiting, (length + step, other))
        return lengths


class PathsToGoal(BatchedField):
    """Lengths of the shortest paths to one goal (`li_env.accel.ground_truth.DistanceField`)."""

    def __init__(self, places: np.ndarray, lengths: np.ndarray, goal: np.ndarray, reach: float) -> None:
        self._places, self._lengths, self._goal, self._reach = places, lengths, goal, reach

    def at(self, points: np.ndarray) -> np.ndarray:
        return self.at_each([self] * len(points), points)

    @classmethod
    def at_each(cls, fields: Sequence[PathsToGoal], points: np.ndarray) -> np.ndarray:
        lengths = np.empty(len(fields))
        for rows in equal_groups([id(each._places) for each in fields]):  # goals of one scan
            own, here = [fields[row] for row in rows], points[rows]
            reach = own[0]._reach
            nearest, away = _nearest(own[0]._places, here, reach)
            known = np.stack([each._lengths for each in own])
            along = (np.take_along_axis(known, nearest, axis=1) + away).min(axis=1)
            straight = np.hypot(*(here - np.stack([each._goal for each in own])).T)
            # Near the goal, and if no place lies between, the straight line is the path.
            lengths[rows] = np.where(straight <= reach, straight, np.maximum(along, straight))
        return lengths

    def near(self, points: np.ndarray) -> np.ndarray:
        return self.at(points)


def _nearest(places: np.ndarray, points: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the `NEAREST` places of each point [n, 2], and their distances [n, k].

    Places that are farther than ``reach`` behind the nearest one do not count: their distance is infinite.
    """
    away = np.hypot(*(points[:, None] - places[None]).transpose(2, 0, 1))
    order = np.argsort(away, axis=1, kind="stable")[:, :NEAREST]
    away = np.take_along_axis(away, order, axis=1)
    return order, np.where(away <= away[:, :1] + reach, away, np.inf)


def _spanning_links(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the shortest links [k - 1, 2] that connect all places, and their lengths (Prim)."""
    count = len(places)
    away, origin = np.full(count, np.inf), np.zeros(count, dtype=int)
    joined, newest = np.zeros(count, dtype=bool), 0
    links, lengths = [], []
    for _ in range(count - 1):
        joined[newest] = True
        step = np.hypot(*(places - places[newest]).T)
        nearer = step < away
        away[nearer], origin[nearer] = step[nearer], newest
        newest = int(np.where(joined, np.inf, away).argmin())
        links.append((int(origin[newest]), newest))
        lengths.append(float(away[newest]))
    return np.array(links, dtype=int).reshape(-1, 2), np.array(lengths)
