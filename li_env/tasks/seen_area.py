"""Seen area of a world: the map behind the reward of Explore.

The floor plan (world axes x and z) is divided into square cells. A view covers the cells whose centres lie inside its
horizontal wedge: within the horizontal field of view and no farther than the view distance. A world
model does not know walls, so **occlusion is ignored**: cells behind a wall count as seen. Height and pitch do not
matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

CELLS_PER_VIEW_DISTANCE = 16
MAP_TILE = 64
"""Cells are kept in map tiles of ``MAP_TILE`` x ``MAP_TILE``."""

_REACH = CELLS_PER_VIEW_DISTANCE + 1
"""Cells around the cell of the camera that a view may cover."""

_WIDE = 64
"""Side of the largest rectangle in which the views of many episodes are drawn at once."""

_WIDEST = 256
"""Distance in cells beyond which two views share no rectangle."""

_TOGETHER = 32
"""Episodes whose views are drawn at a time: their arrays stay in the processor's cache."""


@dataclass(frozen=True)
class ViewWedge:
    """Area that one view covers on the floor plan.

    Attributes:
        angle: horizontal field of view in degrees, below 180.
        distance: radius in length units.
    """

    angle: float
    distance: float

    @property
    def cell(self) -> float:
        """Side of a cell in length units."""
        return self.distance / CELLS_PER_VIEW_DISTANCE

    @property
    def cells(self) -> float:
        """Area of the wedge in cells: the reward of one step is divided by this."""
        return float(np.radians(self.angle)) / 2 * CELLS_PER_VIEW_DISTANCE**2

    def covered(self, poses: np.ndarray) -> np.ndarray:
        """Return indices of the cells that the views at ``poses`` [n, 4, 4] cover: int64 [m, 2] (x, z), each once."""
        cells = [np.argwhere(canvas) + corner for corner, canvas in self.canvases(poses)]
        return np.unique(np.concatenate(cells), axis=0) if len(cells) > 1 else cells[0]

    def canvases(self, poses: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return the covered cells as rectangles: (first cell (x, z) int64 [2], covered or not bool [a, b]) each.

        One rectangle for all views if they are near each other, else one per view.
        """
        return _joined(*self._windows(np.asarray(poses, dtype=np.float64)))

    def canvases_of(self, tracks: Sequence[np.ndarray]) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
        """Yield `canvases` for the views [n, 4, 4] of each of many episodes, a few episodes at a time."""
        for first in range(0, len(tracks), _TOGETHER):
            part = tracks[first : first + _TOGETHER]
            alike = len({len(poses) for poses in part}) == 1
            together = self._together(np.stack(part).astype(np.float64, copy=False)) if alike else None
            yield from map(self.canvases, part) if together is None else together

    def _together(self, poses: np.ndarray) -> list[list[tuple[np.ndarray, np.ndarray]]] | None:
        """Return `canvases` for each of the episodes [B, n, 4, 4]; None if the views of one are far from each other."""
        position = poses[..., [0, 2], 3]
        middle = np.floor(position / self.cell).astype(np.int64)  # [B, n, 2]
        first = middle.min(axis=1) - _REACH
        sides = middle.max(axis=1) + _REACH + 1 - first  # [B, 2]
        if sides.max() > _WIDE:
            return None
        cells = first[..., None] + np.arange(sides.max())  # [B, 2, side]
        delta = (cells[:, None] + 0.5) * self.cell - position[..., None]
        inside = self._inside(poses.reshape(-1, 4, 4), delta.reshape(-1, *delta.shape[2:]))
        seen = np.logical_or.reduce(inside.reshape(*poses.shape[:2], *inside.shape[1:]), axis=1)
        return [
            [(corner, canvas[:width, :depth])]
            for corner, canvas, (width, depth) in zip(first, seen, sides.tolist(), strict=True)
        ]

    def _windows(self, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mark a square of cells around every view: (first cells int64 [n, 2], covered or not bool [n, side, side])."""
        around = np.arange(-_REACH, _REACH + 1)
        position = poses[:, [0, 2], 3]
        middle = np.floor(position / self.cell).astype(np.int64)  # [n, 2]
        delta = (middle[..., None] + around + 0.5) * self.cell - position[..., None]  # [n, 2, side]
        return middle + around[0], self._inside(poses, delta)

    def _inside(self, poses: np.ndarray, delta: np.ndarray) -> np.ndarray:
        """Mark cells that views [n, 4, 4] cover, by the offsets of centres [n, 2, side]: bool [n, side, side]."""
        # The right axis is horizontal at any pitch, the forward axis is not: take the heading from the former.
        right = poses[:, [0, 2], 0]
        right = right / np.maximum(np.linalg.norm(right, axis=-1, keepdims=True), 1e-9)
        # A cell is inside the wedge if its centre lies right of the left border and left of the right border: both are
        # linear in x and z, so that a sum of two vectors decides for the whole square.
        slope = np.tan(np.radians(self.angle) / 2) * right[:, ::-1] * (1, -1)
        inside = _sums(delta, right - slope) >= 0
        inside &= _sums(delta, right + slope) <= 0
        inside &= _sums(delta * delta, np.ones_like(right)) <= self.distance**2
        return inside


def _sums(delta: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Add the first factor times x and the second times z, for all cells: [n, side, side]."""
    terms = delta * factors[..., None]
    return terms[:, 0, :, None] + terms[:, 1, None, :]


def _joined(corners: np.ndarray, windows: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Join squares of cells into one rectangle if they are near each other."""
    first, side = corners.min(axis=0), windows.shape[-1]
    offsets = corners - first
    if offsets.max() > _WIDEST:
        return list(zip(corners, windows, strict=True))
    canvas = np.zeros(offsets.max(axis=0) + side, dtype=bool)
    for (row, column), view in zip(offsets.tolist(), windows, strict=True):
        canvas[row : row + side, column : column + side] |= view
    return [(first, canvas)]


@dataclass(frozen=True)
class SeenArea:
    """Cells seen so far. Immutable: `look` returns a new map that shares all untouched map tiles with the old one.

    Keeping a reference is therefore a complete copy. A look costs the same at any map size but for the table of map
    tiles, one pointer per 4,096 cells.
    """

    wedge: ViewWedge
    cells: int = 0
    _tiles: dict[tuple[int, int], np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def look(self, poses: np.ndarray) -> tuple[SeenArea, int]:
        """Add the views at ``poses`` [n, 4, 4]; return the new map and the number of cells never seen before."""
        return self.add(self.wedge.canvases(poses))

    def add(self, canvases: list[tuple[np.ndarray, np.ndarray]]) -> tuple[SeenArea, int]:
        """Add the cells that `ViewWedge.canvases` covers; return as `look` does."""
        tiles = dict(self._tiles)
        new = sum(_cover(tiles, *canvas) for canvas in canvases)
        return SeenArea(self.wedge, self.cells + new, tiles), new

    def contains(self, cells: np.ndarray) -> np.ndarray:
        """Tell which of ``cells`` int [m, 2] (x, z) have been seen: bool [m]."""
        home, within = np.divmod(np.asarray(cells), MAP_TILE)
        return np.array(
            [
                (x, z) in self._tiles and bool(self._tiles[(x, z)][column, row])
                for (x, z), (column, row) in zip(home.tolist(), within.tolist(), strict=True)
            ],
            dtype=bool,
        )

    @property
    def area(self) -> float:
        """Seen area in square length units."""
        return self.cells * self.wedge.cell**2


def _cover(tiles: dict[tuple[int, int], np.ndarray], corner: np.ndarray, canvas: np.ndarray) -> int:
    """Put a covered rectangle into ``tiles``, replacing those that change; return the number of new cells."""
    new = 0
    (left, low), (right, high) = corner.tolist(), (corner + canvas.shape).tolist()
    for x in range(left // MAP_TILE, (right - 1) // MAP_TILE + 1):
        for z in range(low // MAP_TILE, (high - 1) // MAP_TILE + 1):
            rows = slice(max(left, x * MAP_TILE), min(right, (x + 1) * MAP_TILE))
            columns = slice(max(low, z * MAP_TILE), min(high, (z + 1) * MAP_TILE))
            covered = canvas[rows.start - left : rows.stop - left, columns.start - low : columns.stop - low]
            old = tiles.get((x, z))
            tile = np.zeros((MAP_TILE, MAP_TILE), dtype=bool) if old is None else old.copy()
            part = tile[
                rows.start - x * MAP_TILE : rows.stop - x * MAP_TILE,
                columns.start - z * MAP_TILE : columns.stop - z * MAP_TILE,
            ]
            fresh = int(np.count_nonzero(covered > part))
            if fresh:
                part |= covered
                tiles[(x, z)] = tile
                new += fresh
    return new
