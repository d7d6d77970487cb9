"""Lengths of shortest walkable ways in a map, by breadth-first waves over a grid of its free space.

The grid has two cells per metre. A way goes to any of 16 neighbours (king's and knight's moves), which makes it about
1 % and at most 3 % longer than the true shortest one on open ground; where the goal can be seen within 4 m the straight
line counts. Ways keep the distance from walls that `FreeSpace` keeps. Lengths are Doom map units, metres where the name
says so.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from li_env.worlds.freedoom.doom.collision import Walls
from li_env.worlds.freedoom.doom.maps import DoomMap, generate_map
from li_env.worlds.freedoom.doom.renderer import MAP_UNITS_PER_METRE
from li_env.worlds.freedoom.doom.space import FreeSpace

_STRIDE = 2  # cells of the free space per cell of the grid
_STRAIGHT = 128.0  # map units within which a clear straight line is looked for
_MOVES = np.array(
    [(a, b) for a in (-2, -1, 0, 1, 2) for b in (-2, -1, 0, 1, 2) if abs(a) + abs(b) == 3 or max(abs(a), abs(b)) == 1]
)
_AROUND = np.stack(np.meshgrid(np.arange(-1, 3), np.arange(-1, 3), indexing="ij"), -1).reshape(-1, 2)


class _Floor:
    """The walkable cells of a map, padded so that every move from a walkable cell stays on the grid."""

    def __init__(self, space: FreeSpace) -> None:
        free, origin, cell = space.grid
        self.space, self.side = space, cell * _STRIDE
        coarse = np.pad(free[::_STRIDE, ::_STRIDE], 2)
        self.origin = origin - 2 * self.side
        # a passage narrower than a cell may cut off a corner: the largest part is the floor
        _, parts, statistics, _ = cv2.connectedComponentsWithStats(coarse.astype(np.uint8), connectivity=8)
        self.walkable = parts == 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
        self.shape = self.walkable.shape
        _, nearest = cv2.distanceTransformWithLabels(
            (~self.walkable).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE, labelType=cv2.DIST_LABEL_PIXEL
        )
        cells = np.flatnonzero(self.walkable)
        by_label = np.zeros(int(nearest.max()) + 1, dtype=np.int64)
        by_label[nearest.ravel()[cells]] = cells
        self.nearest = by_label[nearest]

    def place(self, cells: np.ndarray) -> np.ndarray:
        """(x, y) [n, 2] of flat cell indices [n]."""
        rows, columns = np.divmod(cells, self.shape[1])
        return self.origin + np.stack([columns, rows], -1) * self.side

    def around(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cells next to positions [n, 2], the 16 around each and the nearest one: (indices, walkable) [n, 17].

        The 16 are less than 34 units away, and a player and a cell keep 43 units when a wall is between them.
        """
        height, width = self.shape
        column, row = np.floor((positions - self.origin) / self.side).astype(np.int64).T
        row, column = np.clip(row, 1, height - 3), np.clip(column, 1, width - 3)
        corner = row * width + column
        cells = corner[:, None] + _AROUND[:, 0] * width + _AROUND[:, 1]
        walkable = self.walkable.ravel()[cells]
        nearest = self.nearest.ravel()[corner]
        return np.column_stack([cells, nearest]), np.column_stack([walkable, ~walkable.any(1)])


class MapDistance:
    """Geodesic distance to one goal in a map.

    Args:
        floor: of the map.
        goal: (x, y) in map units, a place where a player may stand.

    Raises:
        ValueError: the goal is not such a place.
    """

    def __init__(self, floor: _Floor, goal: tuple[float, float]) -> None:
        if not floor.space.contains(goal):
            raise ValueError("it lies inside a wall or outside of the rooms")
        self._floor, self._goal = floor, np.array(goal, dtype=np.float64)
        self._field = self._waves()

    def _waves(self) -> np.ndarray:
        """Distance of every cell [cells]; infinite where there is no way."""
        floor = self._floor
        width = floor.shape[1]
        offsets = _MOVES[:, 0] * width + _MOVES[:, 1]
        costs = np.hypot(_MOVES[:, 0], _MOVES[:, 1]) * floor.side
        field = np.full(floor.walkable.size, np.inf)
        walkable = floor.walkable.ravel()
        cells, usable = floor.around(self._goal[None])
        front = cells[usable]
        field[front] = np.hypot(*(floor.place(front) - self._goal).T)
        while len(front):
            cells = front[:, None] + offsets
            reached = field[front, None] + costs
            better = walkable[cells] & (reached < field[cells] - 1e-6)
            cells = cells[better]
            np.minimum.at(field, cells, reached[better])
            front = np.unique(cells)
        return field

    def __call__(self, position: tuple[float, float]) -> float:
        """From (x, y) to the goal. A place inside a wall is as far as the nearest walkable one plus the way to it."""
        here = np.asarray(position, dtype=np.float64)
        ahead = self._goal - here
        straight = float(np.hypot(*ahead))
        if straight <= _STRAIGHT:
            heading = np.array([np.arctan2(ahead[1], ahead[0])])
            if self._floor.space.clear_lengths(position, heading, straight)[0] >= straight - self._floor.side:
                return straight
        return float(self.along_cells(here[None])[0])

    def along_cells(self, positions: np.ndarray) -> np.ndarray:
        """Distances [n] of (x, y) [n, 2], without looking for a straight line to the goal."""
        cells, usable = self._floor.around(positions)
        steps = self._floor.place(cells) - positions[:, None]
        return np.where(usable, self._field[cells] + np.hypot(steps[..., 0], steps[..., 1]), np.inf).min(1)


@lru_cache(maxsize=512)
def _floor(map_seed: int) -> _Floor:
    return _Floor(known_map(map_seed).space)


@lru_cache(maxsize=512)
def known_map(map_seed: int) -> DoomMap:
    """`generate_map`, remembered."""
    return generate_map(map_seed)


@lru_cache(maxsize=4096)
def known_walls(map_seed: int) -> Walls:
    """The walls of a generated map, remembered."""
    return Walls([known_map(map_seed).segments])


@lru_cache(maxsize=4096)
def map_distance(map_seed: int, x: float, z: float) -> MapDistance:
    """Distances to the goal (x right, z forward in metres, in the axes of the world's poses) in a generated map.

    Raises:
        ValueError: the goal is inside a wall or outside of the map.
    """
    return MapDistance(_floor(map_seed), (z * MAP_UNITS_PER_METRE, -x * MAP_UNITS_PER_METRE))


def metres_to_goal(distance: MapDistance, x: float, z: float) -> float:
    """Geodesic distance in metres from (x, z), in the axes of the world's poses."""
    return distance((z * MAP_UNITS_PER_METRE, -x * MAP_UNITS_PER_METRE)) / MAP_UNITS_PER_METRE
