"""Lengths of shortest walkable ways in a map, exact for the player's radius (see `tangents`).

What is made once: the lines between corners for a map, the distance from the end of every line for a goal. A question
then looks at the lines that lead from its place to corners, best first, and stops at the first free one. Lengths are
Doom map units, metres where the name says so.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from li_env.doom.known_maps import known_ways
from li_env.doom.renderer import MAP_UNITS_PER_METRE
from li_env.doom.tangents import Tangents

_TOGETHER = 6  # bends looked at in one go


class MapDistance:
    """Geodesic distance to one goal in a map.

    Args:
        ways: of the map.
        goal: (x, y) in map units, a place where a player may stand.

    Raises:
        ValueError: the goal is not such a place.
    """

    def __init__(self, ways: Tangents, goal: tuple[float, float]) -> None:
        self._ways, self._goal = ways, np.array(goal, dtype=np.float64)
        if not ways.contains(self._goal):
            raise ValueError("it lies inside a wall or outside of the rooms")
        lines = ways.touching(self._goal[None], backwards=True)
        self._leave = lines.angles[0]
        self._last = np.where(ways.are_clear(lines.places[0], self._goal[None]), lines.lengths[0], np.inf)
        self._lines = self._relax()
        self._least = np.minimum(self._lines[ways.leaving].min(1), self._last)

    def _relax(self) -> np.ndarray:
        """Distance [e + 1] from the beginning of every line of the map to the goal; infinite at the end."""
        ways = self._ways
        last = self._round_the_corner(ways.last, ways.arrive)
        lines = np.append(ways.lengths + last, np.inf)
        while True:
            following = (ways.arcs + lines[ways.following]).min(1)
            shorter = np.append(ways.lengths + np.minimum(last, following), np.inf)
            if (shorter == lines).all():
                return lines
            lines = shorter

    def _onward(self, bends: np.ndarray, angles: np.ndarray) -> np.ndarray:
        """Distance from where a way meets ``bends`` at ``angles`` to the goal."""
        following = (self._ways.arcs_to(bends, angles) + self._lines[self._ways.leaving[bends]]).min(-1)
        return np.minimum(following, self._round_the_corner(bends, angles))

    def _round_the_corner(self, bends: np.ndarray, angles: np.ndarray) -> np.ndarray:
        """Distance from where a way meets ``bends`` at ``angles`` to the goal, if that is the last corner."""
        return self._ways.arc(bends, angles, self._leave[bends]) + self._last[bends]

    def __call__(self, position: tuple[float, float]) -> float:
        """From (x, y) to the goal, as in `of`."""
        return float(self.of(np.array([position], dtype=np.float64))[0])

    def of(self, positions: np.ndarray) -> np.ndarray:
        """Distances [n] from (x, y) [n, 2] to the goal; infinite where no way leads there.

        A place inside a wall, outside or cut off is as far as the nearest walkable one plus the way to it: straight out
        of the wall where that helps, else the nearest of a grid that keeps some distance from walls.
        """
        return self.ahead(positions)[0]

    def ahead(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances [n] as in `of`, and where the first straight part of the way ends [n, 2]: a corner or the goal."""
        standing = self._ways.contain(positions)
        lengths, ends = np.full(len(positions), np.inf), np.array(positions, dtype=np.float64)
        lengths[standing], ends[standing] = self._from(positions[standing])
        for row in np.flatnonzero(~np.isfinite(lengths)):
            here = positions[row]
            for place in (self._ways.push_out(here), self._ways.nearest(here)):
                if self._ways.contains(place):
                    length = self._from(place[None])[0][0] + np.hypot(*(place - here))
                    if np.isfinite(length):
                        lengths[row], ends[row] = length, place
                        break
        return lengths, ends

    def _from(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`ahead` for places [n, 2] where a player may stand."""
        straight = self._goal - places
        lengths = np.where(self._ways.are_clear(places, self._goal), np.hypot(straight[:, 0], straight[:, 1]), np.inf)
        ends = np.tile(self._goal, (len(places), 1))
        rows = np.flatnonzero(~np.isfinite(lengths))
        if len(rows) and self._ways.bends:
            lengths[rows], ends[rows] = self._around_corners(places[rows])
        return lengths, ends

    def _around_corners(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`ahead` for places [n, 2] from where the goal is out of sight."""
        lines = self._ways.touching(places)
        # No way round a bend is shorter than this: most bends need not be looked at.
        least = np.where(self._ways.are_free(lines.angles), lines.lengths + self._least, np.inf)
        order = np.argsort(least, axis=1, kind="stable")
        lengths, ends = np.full(len(places), np.inf), places.copy()
        rows = np.flatnonzero(np.isfinite(least).any(1))
        for first in range(0, order.shape[1], _TOGETHER):
            bends = order[rows, first : first + _TOGETHER]
            one = rows[:, None]
            total = lines.lengths[one, bends] + self._onward(bends, lines.angles[one, bends])
            usable = np.isfinite(least[one, bends]) & self._ways.are_clear(places[one], lines.places[one, bends])
            total = np.where(usable, total, np.inf)
            best = total.argmin(1)
            shortest = total[np.arange(len(rows)), best]
            better = shortest < lengths[rows]
            lengths[rows[better]] = shortest[better]
            ends[rows[better]] = lines.places[rows[better], bends[better, best[better]]]
            if first + _TOGETHER < order.shape[1]:
                rows = rows[least[rows, order[rows, first + _TOGETHER]] < lengths[rows]]
            if not len(rows):
                break
        return lengths, ends


@lru_cache(maxsize=4096)
def map_distance(map_seed: int, x: float, z: float) -> MapDistance:
    """Distances to the goal (x right, z forward in metres, in the axes of the world's poses) in a generated map.

    Raises:
        ValueError: the goal is inside a wall or outside of the map.
    """
    return MapDistance(known_ways(map_seed), (z * MAP_UNITS_PER_METRE, -x * MAP_UNITS_PER_METRE))


def metres_to_goal(distance: MapDistance, x: float, z: float) -> float:
    """Geodesic distance in metres from (x, z), in the axes of the world's poses."""
    return distance((z * MAP_UNITS_PER_METRE, -x * MAP_UNITS_PER_METRE)) / MAP_UNITS_PER_METRE
