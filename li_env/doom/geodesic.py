"""Lengths of shortest walkable paths in a map, exact for the player's radius (see `tangents`).

Two things are made once: the lines between corners for a map, and the distance from the end of every line for a goal. A
query then looks at the lines that lead from its position to corners, best first, and stops at the first free one.
Lengths are Doom map units, metres where the name says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from li_env.accel.grouping import equal_groups
from li_env.doom.known_maps import known_tangents
from li_env.doom.renderer import MAP_UNITS_PER_METRE
from li_env.doom.tangents import Tangents, stand_and_see

_TOGETHER = 6  # bends looked at in one go


class MapDistance:
    """Geodesic distance to one goal in a map.

    Args:
        net: lines between the corners of the map.
        goal: (x, y) in map units, a position where a player may stand.

    Raises:
        ValueError: no player may stand at the goal.
    """

    def __init__(self, net: Tangents, goal: tuple[float, float]) -> None:
        self._net, self._goal = net, np.array(goal, dtype=np.float64)
        if not net.contains(self._goal):
            raise ValueError("it lies inside a wall or outside of the rooms")
        lines = net.touching(self._goal[None], backwards=True)
        self._leave = lines.angles[0]
        self._last = np.where(net.are_clear(lines.points[0], self._goal[None]), lines.lengths[0], np.inf)
        self._lines = self._relax()
        self._least = np.minimum(self._lines[net.leaving].min(1), self._last)

    def _relax(self) -> np.ndarray:
        """Compute the distance [e + 1] from the beginning of every line of the map to the goal; infinite at the end."""
        net = self._net
        last = self._round_the_corner(net.last, net.arrive)
        lines = np.append(net.lengths + last, np.inf)
        while True:
            following = (net.arcs + lines[net.following]).min(1)
            shorter = np.append(net.lengths + np.minimum(last, following), np.inf)
            if (shorter == lines).all():
                return lines
            lines = shorter

    def _onward(self, bends: np.ndarray, angles: np.ndarray) -> np.ndarray:
        """Compute the distance to the goal from the points where a path meets ``bends`` at ``angles``."""
        following = (self._net.arcs_to(bends, angles) + self._lines[self._net.leaving[bends]]).min(-1)
        return np.minimum(following, self._round_the_corner(bends, angles))

    def _round_the_corner(self, bends: np.ndarray, angles: np.ndarray) -> np.ndarray:
        """Compute the same distance for paths on which ``bends`` are the last corners."""
        return self._net.arc(bends, angles, self._leave[bends]) + self._last[bends]

    @classmethod
    def of_each(cls, fields: Sequence[MapDistance], positions: np.ndarray) -> np.ndarray:
        """Return for each of n fields the distance `of` its position (x, y) of ``positions`` [n, 2]: [n]."""
        goals = np.array([field._goal for field in fields])
        lengths = np.hypot(*(goals - positions).T)
        stands, sees = stand_and_see([field._net for field in fields], positions, goals)
        for group in equal_groups(list(zip(fields, (stands & sees).tolist(), stands.tolist(), strict=True))):
            field, known, stand = fields[group[0]], *(bool(each[group[0]]) for each in (stands & sees, stands))
            if not known:
                lengths[group] = (field._bent if stand else field.of)(positions[group])
        return lengths

    def _bent(self, positions: np.ndarray) -> np.ndarray:
        """Return distances [n] from positions where a player may stand and from which no straight path leads there."""
        return self._around_corners(positions)[0] if self._net.bends else np.full(len(positions), np.inf)

    def __call__(self, position: tuple[float, float]) -> float:
        """Return the distance from (x, y) to the goal, as `of` does."""
        return float(self.of(np.array([position], dtype=np.float64))[0])

    def of(self, positions: np.ndarray) -> np.ndarray:
        """Return distances [n] from (x, y) [n, 2] to the goal; infinite where no path leads there.

        A position inside a wall, outside or cut off first moves to a walkable one, and that length counts. The walkable
        position lies straight out of the wall where that helps; else it is the nearest of a grid that keeps some
        distance from walls.
        """
        return self.ahead(positions)[0]

    def ahead(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return distances [n] as `of` does, and the end [n, 2] of the first straight part of each path."""
        standing = self._net.contain(positions)
        lengths, ends = np.full(len(positions), np.inf), np.array(positions, dtype=np.float64)
        lengths[standing], ends[standing] = self._from(positions[standing])
        for row in np.flatnonzero(~np.isfinite(lengths)):
            here = positions[row]
            for free in (self._net.push_out(here), self._net.nearest(here)):
                if self._net.contains(free):
                    length = self._from(free[None])[0][0] + np.hypot(*(free - here))
                    if np.isfinite(length):
                        lengths[row], ends[row] = length, free
                        break
        return lengths, ends

    def _from(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute `ahead` for positions [n, 2] where a player may stand."""
        straight = self._goal - positions
        lengths = np.where(self._net.are_clear(positions, self._goal), np.hypot(straight[:, 0], straight[:, 1]), np.inf)
        ends = np.tile(self._goal, (len(positions), 1))
        rows = np.flatnonzero(~np.isfinite(lengths))
        if len(rows) and self._net.bends:
            lengths[rows], ends[rows] = self._around_corners(positions[rows])
        return lengths, ends

    def _around_corners(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute `ahead` for positions [n, 2] from which no straight path leads to the goal."""
        lines = self._net.touching(positions)
        # No path round a bend is shorter than this: most bends need not be looked at.
        least = np.where(self._net.are_free(lines.angles), lines.lengths + self._least, np.inf)
        order = np.argsort(least, axis=1, kind="stable")
        lengths, ends = np.full(len(positions), np.inf), positions.copy()
        rows = np.flatnonzero(np.isfinite(least).any(1))
        for first in range(0, order.shape[1], _TOGETHER):
            bends = order[rows, first : first + _TOGETHER]
            one = rows[:, None]
            total = lines.lengths[one, bends] + self._onward(bends, lines.angles[one, bends])
            usable = np.isfinite(least[one, bends]) & self._net.are_clear(positions[one], lines.points[one, bends])
            total = np.where(usable, total, np.inf)
            best = total.argmin(1)
            shortest = total[np.arange(len(rows)), best]
            better = shortest < lengths[rows]
            lengths[rows[better]] = shortest[better]
            ends[rows[better]] = lines.points[rows[better], bends[better, best[better]]]
            if first + _TOGETHER < order.shape[1]:
                rows = rows[least[rows, order[rows, first + _TOGETHER]] < lengths[rows]]
            if not len(rows):
                break
        return lengths, ends


@lru_cache(maxsize=4096)
def map_distance(map_seed: int, x: float, z: float) -> MapDistance:
    """Return the distances to a goal (x right, z forward in metres, axes of the world's poses) in a generated map.

    Raises:
        ValueError: the goal is inside a wall or outside of the map.
    """
    return MapDistance(known_tangents(map_seed), (z * MAP_UNITS_PER_METRE, -x * MAP_UNITS_PER_METRE))


def metres_to_goal(distance: MapDistance, x: float, z: float) -> float:
    """Return the geodesic distance in metres from (x, z), in the axes of the world's poses."""
    return distance((z * MAP_UNITS_PER_METRE, -x * MAP_UNITS_PER_METRE)) / MAP_UNITS_PER_METRE
