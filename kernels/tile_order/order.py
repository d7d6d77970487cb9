"""Token orders in which the tokens of a space-time tile are neighbours in memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import torch

Cut = Literal["grid", "serpentine"]
"""Cut of a token grid into tiles: boxes of the tile shape, or equal lengths of a winding walk."""


@dataclass(frozen=True, eq=False)
class TileOrder:
    """A permutation of the tokens of a (frames, rows, columns) grid, and the tiles in it.

    Attributes:
        grid: (T, H, W), the token grid; the usual token order is (frame, row, column).
        shape: (t, h, w), the tile shape.
        permutation: int64 [T * H * W] on the device asked for; entry i is the usual position of the token that stands
            at index i of the tile order.
        inverse: int64 [T * H * W], the index in tile order of every usual position.
        starts, lengths: int32 numpy [tiles], where tile j lies in tile order: no overlap, no padding.
        coordinates: int32 numpy [tiles, 3], the cell (T // t, H // h, W // w) that holds the tile's middle token.
    """

    grid: tuple[int, int, int]
    shape: tuple[int, int, int]
    permutation: torch.Tensor
    inverse: torch.Tensor
    starts: np.ndarray
    lengths: np.ndarray
    coordinates: np.ndarray

    def to_tiles(self, x: torch.Tensor, dim: int) -> torch.Tensor:
        """Bring the tokens along ``dim`` from the usual order into tile order."""
        return x.index_select(dim, self.permutation)

    def to_grid(self, x: torch.Tensor, dim: int) -> torch.Tensor:
        """Bring the tokens along ``dim`` from tile order back into the usual order."""
        return x.index_select(dim, self.inverse)

    def neighbours(self, distance: int = 1) -> np.ndarray:
        """Return which tiles are at most ``distance`` steps along the axes from each other: bool [tiles, tiles]."""
        steps = np.abs(self.coordinates[:, None, :] - self.coordinates[None, :, :]).sum(axis=-1)
        return steps <= distance


@lru_cache(maxsize=128)
def tile_order(
    grid: tuple[int, int, int],
    shape: tuple[int, int, int],
    cut: Cut = "grid",
    device: torch.device | str = "cpu",
) -> TileOrder:
    """Make the tile order of a token grid. Results are cached and shared: do not write to them.

    ``cut="grid"`` makes boxes of ``shape``; boxes at the far edges are smaller where the shape does not divide the grid
    (30 rows in tiles of 8 leave a bottom row of tiles with 6). ``cut="serpentine"`` walks, within t frames, down one
    strip of w columns and up the next and cuts the walk every t * h * w tokens: all tiles of a slab but the last are
    full and still compact, which saves the matrix units from half-empty tiles.

    Args:
        grid: (T, H, W), tokens per axis.
        shape: (t, h, w), the tile shape; larger than the grid is allowed.
        cut: see above.
        device: where ``permutation`` and ``inverse`` are kept.

    Raises:
        ValueError: an extent below 1 or an unknown cut.

    Source: docs/spec/hy_worldplay.md, section 9.4 (order of tiles and of tokens in a tile: time, row, column).
    """
    for name, extents in (("grid", grid), ("shape", shape)):
        if len(extents) != 3 or min(extents) < 1:
            raise ValueError(f"{name}={extents!r}: three extents of at least 1 (time, rows, columns) are needed")
    if cut not in get_args(Cut):
        raise ValueError(f"cut={cut!r}: allowed are {', '.join(get_args(Cut))}")
    time, row, column = (axis.ravel() for axis in np.indices(grid))
    slab, strip = time // shape[0], column // shape[2]
    if cut == "grid":
        keys = [slab, row // shape[1], strip, time, row, column]
    else:
        keys = [slab, strip, np.where(strip % 2 == 0, row, -row), time, column]
    permutation = np.lexsort(keys[::-1])  # lexsort takes the most significant key last
    if cut == "grid":
        changes = np.any([np.diff(key[permutation]) != 0 for key in keys[:3]], axis=0)
        starts = np.concatenate([[0], 1 + np.flatnonzero(changes)])
    else:
        slabs = np.bincount(slab)
        ends = np.cumsum(slabs)
        volume = shape[0] * shape[1] * shape[2]
        starts = np.concatenate([np.arange(end - size, end, volume) for size, end in zip(slabs, ends, strict=True)])
    lengths = np.diff(np.append(starts, permutation.size))
    middle = permutation[starts + lengths // 2]
    cells = [axis[middle] // extent for axis, extent in zip((time, row, column), shape, strict=True)]
    inverse = np.empty_like(permutation)
    inverse[permutation] = np.arange(permutation.size)
    return TileOrder(
        grid=grid,
        shape=shape,
        permutation=torch.from_numpy(permutation.astype(np.int64)).to(device),
        inverse=torch.from_numpy(inverse.astype(np.int64)).to(device),
        starts=_frozen(starts),
        lengths=_frozen(lengths),
        coordinates=_frozen(np.stack(cells, axis=-1)),
    )


def _frozen(array: np.ndarray) -> np.ndarray:
    result = array.astype(np.int32)
    result.flags.writeable = False
    return result
