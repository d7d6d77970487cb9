"""Free space of a map on a coarse grid: where a player may stand, clearances, paths between points.

The grid only plans walks (`trajectories`) and draws start positions; `collision` decides which motion is realised.
Lengths are Doom map units.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from li_env.doom.collision import RADIUS

_CELL = 8.0
GRID_SLACK = 9.0
"""Added to the radius: the grid is off by up to about one cell."""

_ROUTE_STRIDE = 4  # grid cells per routing cell


class _Grid:
    """Distance to the nearest wall [rows, columns] on a grid over the map, and its connected free regions."""

    def __init__(self, segments: np.ndarray, margin: float) -> None:
        points = segments.reshape(-1, 2)
        self.origin = points.min(0) - 2 * _CELL
        width, height = np.ceil((points.max(0) - self.origin) / _CELL).astype(int) + 3
        image = np.full((height, width), 255, np.uint8)
        # three fractional bits keep the drawn lines within half a cell of the true ones
        ends = np.round((segments.reshape(-1, 2, 2) - self.origin) / _CELL * 8).astype(int)
        for first, second in ends:
            cv2.line(image, first.tolist(), second.tolist(), 0, 1, cv2.LINE_8, 3)
        self.distance = cv2.distanceTransform(image, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) * _CELL
        self.count, self.regions = cv2.connectedComponents((self.distance >= margin).astype(np.uint8), connectivity=4)

    def cell(self, points: np.ndarray) -> np.ndarray:
        """Return (column, row) of points (x, y)."""
        return np.round((points - self.origin) / _CELL).astype(int)


def largest_regions(segments: np.ndarray, radius: float, count: int) -> list[tuple[float, tuple[int, int]]]:
    """List the ``count`` largest regions that walls enclose: (area in square map units, an inner point), largest first.

    The list includes regions that lie outside of every room: only the game knows which are inside.
    """
    grid = _Grid(segments, radius + GRID_SLACK)
    areas = np.bincount(grid.regions.ravel(), minlength=grid.count).astype(float) * _CELL**2
    areas[0] = areas[grid.regions[0, 0]] = 0.0  # walls, and what surrounds the map
    found = []
    for region in np.argsort(-areas)[: min(count, grid.count - 1)]:
        inside = np.where(grid.regions == region, grid.distance, 0.0)
        row, column = divmod(int(inside.argmax()), inside.shape[1])
        x, y = np.round(grid.origin + np.array([column, row]) * _CELL).astype(int).tolist()
        found.append((float(areas[region]), (x, y)))
    return found


class FreeSpace:
    """Distance to the nearest wall on a grid, limited to the region that is connected to ``start`` (x, y)."""

    def __init__(self, segments: np.ndarray, start: tuple[float, float], radius: float = RADIUS) -> None:
        self._margin = radius + GRID_SLACK
        grid = _Grid(segments, self._margin)
        self._origin = grid.origin
        column, row = grid.cell(np.array(start))
        region = int(grid.regions[row, column])
        if region == 0:
            raise ValueError(f"start {start} is too close to a wall; allowed: {self._margin} map units away")
        self._clearance = np.where(grid.regions == region, grid.distance, 0.0).astype(np.float32)

    @property
    def area(self) -> float:
        """Reachable area in square map units."""
        return float((self._clearance > 0).sum()) * _CELL**2

    @property
    def grid(self) -> tuple[np.ndarray, np.ndarray, float]:
        """(free cells bool [rows, columns], (x, y) of cell [0, 0], side of a cell)."""
        return self._clearance >= self._margin, self._origin.copy(), _CELL

    def contains(self, position: tuple[float, float]) -> bool:
        """Return whether a player may stand at (x, y), as far as the grid can tell."""
        return bool(self.contains_all(np.array(position)))

    def contains_all(self, positions: np.ndarray) -> np.ndarray:
        """Return `contains` for positions [..., 2]: bool [...]."""
        height, width = self._clearance.shape
        # fmin and fmax send NaN and infinity to the rim of the grid, which lies outside of every map.
        cells = np.fmax(np.fmin((positions - self._origin) / _CELL + 0.5, (width - 1, height - 1)), 0.0).astype(int)
        inside: np.ndarray = self._clearance[cells[..., 1], cells[..., 0]] >= self._margin
        return inside

    def nearest(self, position: np.ndarray) -> np.ndarray:
        """Return the free position [2], as far as the grid can tell, that is nearest to ``position`` [2]."""
        rows, columns = np.nonzero(self._clearance >= self._margin)
        free = self._origin + np.stack([columns, rows], -1) * _CELL
        best: np.ndarray = free[int(((free - position) ** 2).sum(1).argmin())]
        return best

    def sample(self, rng: np.random.Generator) -> tuple[int, int]:
        """Draw a free position uniformly, in whole map units."""
        free = np.flatnonzero(self._clearance >= self._margin + 6.0)
        row, column = divmod(int(free[rng.integers(len(free))]), self._clearance.shape[1])
        offset = rng.integers(-3, 4, 2)
        return (
            round(float(self._origin[0]) + column * _CELL) + int(offset[0]),
            round(float(self._origin[1]) + row * _CELL) + int(offset[1]),
        )

    def clear_lengths(self, position: tuple[float, float], headings: np.ndarray, limit: float) -> np.ndarray:
        """Measure the clearance [k] along ``headings`` [k] (radians), up to ``limit``."""
        reach = np.arange(0.0, limit + _CELL, _CELL)
        x = position[0] + np.cos(headings)[:, None] * reach
        y = position[1] + np.sin(headings)[:, None] * reach
        height, width = self._clearance.shape
        columns = np.clip(((x - self._origin[0]) / _CELL + 0.5).astype(int), 0, width - 1)
        rows = np.clip(((y - self._origin[1]) / _CELL + 0.5).astype(int), 0, height - 1)
        blocked = self._clearance[rows, columns] < self._margin
        blocked[:, 0] = False  # a player that touches a wall may still walk away from it
        blocked[:, -1] = True
        return np.maximum(reach[blocked.argmax(1)] - _CELL, 0.0)

    def route(self, start: tuple[float, float], goal: tuple[float, float]) -> list[tuple[float, float]]:
        """Return the corners of a walkable path to ``goal`` (breadth-first search, then cut corners); empty if none."""
        coarse = self._clearance[::_ROUTE_STRIDE, ::_ROUTE_STRIDE] >= self._margin + 4.0
        size = _CELL * _ROUTE_STRIDE
        height, width = coarse.shape
        first, last = (
            tuple(
                np.clip(np.round((np.array(p) - self._origin) / size).astype(int), 0, (width - 1, height - 1)).tolist()
            )
            for p in (start, goal)
        )
        came: dict[tuple[int, int], tuple[int, int]] = {last: last}
        queue = deque([last])
        while queue and first not in came:
            x, y = queue.popleft()
            for step in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
                inside = 0 <= step[0] < width and 0 <= step[1] < height
                if inside and step not in came and (coarse[step[1], step[0]] or step == first):
                    came[step] = (x, y)
                    queue.append(step)
        if first not in came:
            return []
        path = [start]
        cell = first
        while cell != last:
            cell = came[cell]
            path.append((float(self._origin[0] + cell[0] * size), float(self._origin[1] + cell[1] * size)))
        path[-1] = goal
        return self._cut_corners(path)

    def _cut_corners(self, path: list[tuple[float, float]]) -> list[tuple[float, float]]:
        corners = []
        here = 0
        while here < len(path) - 1:
            ahead = min(len(path) - 1, here + 24)
            while ahead > here + 1 and not self._is_clear(path[here], path[ahead]):
                ahead -= 2 if ahead > here + 2 else 1
            corners.append(path[ahead])
            here = ahead
        return corners

    def _is_clear(self, start: tuple[float, float], goal: tuple[float, float]) -> bool:
        delta = np.array(goal) - start
        length = float(np.hypot(*delta))
        heading = np.array([np.arctan2(delta[1], delta[0])])
        return bool(self.clear_lengths(start, heading, length)[0] >= length - 2 * _CELL)
