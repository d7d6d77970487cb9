"""How much of a world has been seen: the map behind the reward of Explore.

The floor plan (world axes x and z) is divided into square cells. A view covers the cells whose centres lie inside its
horizontal wedge: within the horizontal field of view and no farther than the view distance. What stands between is
not known to a world model, so **occlusion is ignored**: a view counts what lies behind a wall as seen. Height and
pitch do not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

CELLS_PER_VIEW_DISTANCE = 16
BLOCK = 32
"""Cells are kept in square blocks of ``BLOCK`` x ``BLOCK``."""

_WIDEST = 256
"""Views further apart than this many cells share no rectangle."""

_TOGETHER = 32
"""Worlds whose views are drawn at a time: what they need stays in the processor's cache."""


@dataclass(frozen=True)
class ViewWedge:
    """What one view covers on the floor plan.

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
        """Indices of the cells that the views at ``poses`` [n, 4, 4] cover: int64 [m, 2] (x, z), each once."""
        cells = [np.argwhere(canvas) + corner for corner, canvas in self.canvases(poses)]
        return np.unique(np.concatenate(cells), axis=0) if len(cells) > 1 else cells[0]

    def canvases(self, poses: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """The same as rectangles of the floor plan: (first cell (x, z) int64 [2], covered or not bool [a, b]) each.

        One rectangle for all views if they are near each other, else one per view.
        """
        return _joined(*self._windows(np.asarray(poses, dtype=np.float64)))

    def canvases_of(self, tracks: Sequence[np.ndarray]) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
        """`canvases` for the views [n, 4, 4] of each of many worlds, a few worlds at a time."""
        for first in range(0, len(tracks), _TOGETHER):
            part = tracks[first : first + _TOGETHER]
            corners, windows = self._windows(np.concatenate(part).astype(np.float64, copy=False))
            ends = np.cumsum([len(poses) for poses in part]).tolist()
            for start, end in zip([0, *ends], ends, strict=False):
                yield _joined(corners[start:end], windows[start:end])

    def _windows(self, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One square of cells around every view: (first cells int64 [n, 2], covered or not bool [n, side, side])."""
        around = np.arange(-CELLS_PER_VIEW_DISTANCE - 1, CELLS_PER_VIEW_DISTANCE + 2)
        position = poses[:, [0, 2], 3]
        middle = np.floor(position / self.cell).astype(np.int64)  # [n, 2]
        delta = (middle[..., None] + around + 0.5) * self.cell - position[..., None]  # [n, 2, side]
        # The right axis is horizontal at any pitch, the forward axis is not: take the heading from the former.
        right = poses[:, [0, 2], 0]
        right = right / np.maximum(np.linalg.norm(right, axis=-1, keepdims=True), 1e-9)
        # A place is inside the wedge if it lies right of its left border and left of its right one: both are linear in
        # x and z, so that a sum of two vectors decides for the whole square.
        slope = np.tan(np.radians(self.angle) / 2) * right[:, ::-1] * (1, -1)
        inside = _sums(delta, right - slope) >= 0
        inside &= _sums(delta, right + slope) <= 0
        inside &= _sums(delta * delta, np.ones_like(right)) <= self.distance**2
        return middle + around[0], inside


def _sums(delta: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """The first factor times x plus the second times z, for all cells: [n, side, side]."""
    terms = delta * factors[..., None]
    return terms[:, 0, :, None] + terms[:, 1, None, :]


def _joined(corners: np.ndarray, windows: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Squares of cells as one rectangle where they are near each other."""
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
    """The cells seen so far. Immutable: `look` returns a new map that shares all untouched blocks with the old one.

    Keeping a reference is therefore a complete copy. A look costs the same at any map size but for the table of blocks,
    one pointer per 1,024 cells.
    """

    wedge: ViewWedge
    cells: int = 0
    _blocks: dict[tuple[int, int], np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def look(self, poses: np.ndarray) -> tuple[SeenArea, int]:
        """Add the views at ``poses`` [n, 4, 4]: the new map and the number of cells never seen before."""
        return self.add(self.wedge.canvases(poses))

    def add(self, canvases: list[tuple[np.ndarray, np.ndarray]]) -> tuple[SeenArea, int]:
        """`look` at what `ViewWedge.canvases` says is covered."""
        blocks = dict(self._blocks)
        new = sum(_cover(blocks, *canvas) for canvas in canvases)
        return SeenArea(self.wedge, self.cells + new, blocks), new

    def contains(self, cells: np.ndarray) -> np.ndarray:
        """Which of ``cells`` int [m, 2] (x, z) have been seen: bool [m]."""
        home, within = np.divmod(np.asarray(cells), BLOCK)
        return np.array(
            [
                (x, z) in self._blocks and bool(self._blocks[(x, z)][column, row])
                for (x, z), (column, row) in zip(home.tolist(), within.tolist(), strict=True)
            ],
            dtype=bool,
        )

    @property
    def area(self) -> float:
        """Seen area in square length units."""
        return self.cells * self.wedge.cell**2


def _cover(blocks: dict[tuple[int, int], np.ndarray], corner: np.ndarray, canvas: np.ndarray) -> int:
    """Put a covered rectangle into ``blocks``, replacing those that change; the number of cells that are new."""
    new = 0
    (left, low), (right, high) = corner.tolist(), (corner + canvas.shape).tolist()
    for x in range(left // BLOCK, (right - 1) // BLOCK + 1):
        for z in range(low // BLOCK, (high - 1) // BLOCK + 1):
            rows = slice(max(left, x * BLOCK), min(right, (x + 1) * BLOCK))
            columns = slice(max(low, z * BLOCK), min(high, (z + 1) * BLOCK))
            covered = canvas[rows.start - left : rows.stop - left, columns.start - low : columns.stop - low]
            old = blocks.get((x, z))
            block = np.zeros((BLOCK, BLOCK), dtype=bool) if old is None else old.copy()
            part = block[
                rows.start - x * BLOCK : rows.stop - x * BLOCK, columns.start - z * BLOCK : columns.stop - z * BLOCK
            ]
            fresh = int(np.count_nonzero(covered > part))
            if fresh:
                part |= covered
                blocks[(x, z)] = block
                new += fresh
    return new
