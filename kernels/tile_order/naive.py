"""Readable version of the tile order: visit the tiles one by one and write down their tokens."""

from __future__ import annotations

from itertools import product


def naive_tiles(grid: tuple[int, int, int], shape: tuple[int, int, int]) -> list[list[int]]:
    """Return the usual positions of the tokens of every tile of the ``grid`` cut, in the order of storage.

    Args:
        grid: (T, H, W), tokens per axis.
        shape: (t, h, w), the tile shape.

    Source: docs/spec/hy_worldplay.md, section 9.4.
    """
    _, rows, columns = grid
    tiles = []
    for corner in product(*(range(0, extent, step) for extent, step in zip(grid, shape, strict=True))):
        ranges = [
            range(first, min(first + step, extent)) for first, step, extent in zip(corner, shape, grid, strict=True)
        ]
        tiles.append([(t * rows + y) * columns + x for t, y, x in product(*ranges)])
    return tiles


def naive_walk(grid: tuple[int, int, int], shape: tuple[int, int, int]) -> list[list[int]]:
    """Return the positions of the tokens of every tile of the ``serpentine`` cut."""
    frames, rows, columns = grid
    volume = shape[0] * shape[1] * shape[2]
    tiles = []
    for slab in range(0, frames, shape[0]):
        walk = []
        for number, left in enumerate(range(0, columns, shape[2])):
            down = range(rows)
            for y in down if number % 2 == 0 else reversed(down):
                for t in range(slab, min(slab + shape[0], frames)):
                    walk += [(t * rows + y) * columns + x for x in range(left, min(left + shape[2], columns))]
        tiles += [walk[first : first + volume] for first in range(0, len(walk), volume)]
    return tiles
