"""How much of a world has been seen: the map behind the reward of Explore.

The floor plan (world axes x and z) is divided into square cells. A view covers the cells whose centres lie inside its
horizontal wedge: within the horizontal field of view and no farther than the view distance. What stands between is
not known to a world model, so **occlusion is ignored**: a view counts what lies behind a wall as seen. Height and
pitch do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

CELLS_PER_VIEW_DISTANCE = 16
BLOCK = 32
"""Cells are kept in square blocks of ``BLOCK`` x ``BLOCK``."""

_OFFSET = 1 << 30
"""Keeps packed cell indices positive; cells beyond this many from the origin cannot be told apart."""


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
        poses = np.asarray(poses, dtype=np.float64)
        reach = CELLS_PER_VIEW_DISTANCE + 1
        around = np.arange(-reach, reach + 1)
        window = np.stack(np.meshgrid(around, around, indexing="ij"), axis=-1).reshape(-1, 2)
        position = poses[:, None, [0, 2], 3]  # [n, 1, 2]
        cells = np.floor(position / self.cell).astype(np.int64) + window  # [n, window, 2]
        delta = (cells + 0.5) * self.cell - position
        # The right axis is horizontal at any pitch, the forward axis is not: take the heading from the former.
        right = poses[:, [0, 2], 0]
        right = right / np.maximum(np.linalg.norm(right, axis=-1, keepdims=True), 1e-9)
        heading = np.stack([-right[:, 1], right[:, 0]], axis=-1)
        ahead = np.einsum("nwk,nk->nw", delta, heading)
        aside = np.abs(np.einsum("nwk,nk->nw", delta, right))
        near = np.einsum("nwk,nwk->nw", delta, delta) <= self.distance**2
        inside = near & (ahead > 0) & (aside <= ahead * np.tan(np.radians(self.angle) / 2))
        packed = ((cells[..., 0] + _OFFSET) << 31) + cells[..., 1] + _OFFSET
        unique = np.unique(packed[inside])
        return np.stack([(unique >> 31) - _OFFSET, (unique & ((1 << 31) - 1)) - _OFFSET], axis=-1)


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
        cells = self.wedge.covered(poses)
        home, within = np.divmod(cells, BLOCK)
        order, starts = np.unique(home, axis=0, return_inverse=True)
        blocks = dict(self._blocks)
        new = 0
        for index, (x, z) in enumerate(order.tolist()):
            column, row = within[starts.reshape(-1) == index].T
            old = blocks.get((x, z))
            block = np.zeros((BLOCK, BLOCK), dtype=bool) if old is None else old.copy()
            fresh = int(np.count_nonzero(~block[column, row]))
            if fresh:
                block[column, row] = True
                blocks[(x, z)] = block
                new += fresh
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
