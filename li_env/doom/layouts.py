"""Floor plans: which grid cell is solid and which area an open cell belongs to, for several families of maps.

A plan is a grid of integer labels [columns, rows] (-1 solid, otherwise an area) with coordinates of its grid lines.
Every family keeps a solid rim and one connected open region.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

SOLID = -1


@dataclass(frozen=True)
class Layout:
    """Floor plan.

    Attributes:
        labels: [columns, rows] int, `SOLID` or the area of the cell.
        x, y: coordinates of the grid lines in map units, one more than cells.
        bends: how far grid corners may be displaced, in map units (0: right angles).
        pillars: share of suitable open spots that get a pillar.
    """

    labels: np.ndarray
    x: np.ndarray
    y: np.ndarray
    bends: float = 0.0
    pillars: float = 0.0


def _lines(sizes: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(np.round(sizes))])


def _zones(cells: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Assign points [n, 2] to ``count`` areas by the nearest of random centres."""
    centres = cells[rng.choice(len(cells), min(count, len(cells)), replace=False)]
    return np.abs(cells[:, None] - centres[None]).sum(-1).argmin(1)


def maze(rng: np.random.Generator) -> Layout:
    """Draw corridors of a spanning tree with extra loops; cells of about 256 units, thin or thick walls."""
    columns, rows = rng.integers(4, 8, 2)
    solid = np.ones((columns, rows), dtype=bool)
    open_ = np.zeros((2 * columns + 1, 2 * rows + 1), dtype=bool)
    stack = [(int(rng.integers(columns)), int(rng.integers(rows)))]
    solid[stack[0]] = False
    open_[2 * stack[0][0] + 1, 2 * stack[0][1] + 1] = True
    while stack:
        i, j = stack[-1]
        steps = [(1, 0), (-1, 0), (0, 1), (0, -1)]
        choices = [(a, b) for a, b in steps if 0 <= i + a < columns and 0 <= j + b < rows and solid[i + a, j + b]]
        if not choices:
            stack.pop()
            continue
        a, b = choices[rng.integers(len(choices))]
        open_[2 * i + 1 + a, 2 * j + 1 + b] = True
        open_[2 * (i + a) + 1, 2 * (j + b) + 1] = True
        solid[i + a, j + b] = False
        stack.append((i + a, j + b))
    loops = rng.uniform(0.05, 0.4)
    for i in range(1, 2 * columns):
        for j in range(1, 2 * rows):
            if (i + j) % 2 == 1 and rng.random() < loops:
                open_[i, j] = True
    corridor, wall = rng.uniform(160, 280), rng.choice([16, 32, 64, 96])
    spread = rng.choice([0.0, 0.3])
    x, y = (
        _lines(np.where(np.arange(2 * n + 1) % 2 == 1, corridor * rng.uniform(1 - spread, 1 + spread, 2 * n + 1), wall))
        for n in (int(columns), int(rows))
    )
    labels = np.full(open_.shape, SOLID)
    cells = np.argwhere(open_)
    labels[open_] = _zones(cells, rng, int(rng.integers(2, 9)))
    return Layout(labels, x, y)


def rooms(rng: np.random.Generator) -> Layout:
    """Draw rectangular rooms joined by corridors; every room and every corridor is an area."""
    size = int(rng.integers(22, 34))
    labels = np.full((size, size), SOLID)
    centres: list[tuple[int, int]] = []
    for _ in range(int(rng.integers(7, 16))):
        width, height = rng.integers(3, 9, 2)
        left, low = int(rng.integers(1, size - width - 1)), int(rng.integers(1, size - height - 1))
        labels[left : left + width, low : low + height] = len(centres)
        centres.append((left + int(width) // 2, low + int(height) // 2))
    area = len(centres)
    thick = int(rng.integers(2, 4))
    order = sorted(range(len(centres)), key=lambda room: centres[room][0])
    links = list(pairwise(order))
    links += [(int(a), int(b)) for a, b in rng.integers(len(centres), size=(int(rng.integers(1, 5)), 2))]
    for first, second in links:
        (ax, ay), (bx, by) = centres[first], centres[second]
        corner = (bx, ay) if rng.random() < 0.5 else (ax, by)
        for (px, py), (qx, qy) in (((ax, ay), corner), (corner, (bx, by))):
            strip = labels[
                min(px, qx) : min(max(px, qx) + thick, size - 1), min(py, qy) : min(max(py, qy) + thick, size - 1)
            ]
            strip[strip == SOLID] = area
        area += int(rng.random() < 0.5)
    x, y = (_lines(rng.uniform(48, 80) * rng.uniform(0.8, 1.25, size)) for _ in range(2))
    return Layout(labels, x, y, pillars=float(rng.choice([0.0, 0.02, 0.05])))


def hall(rng: np.random.Generator) -> Layout:
    """Draw one open hall with pillars, blocks and free-standing walls; its floor is divided into a few areas."""
    columns, rows = (int(n) for n in rng.integers(14, 26, 2))
    labels = np.full((columns, rows), SOLID)
    inner = np.argwhere(np.ones((columns - 2, rows - 2), dtype=bool)) + 1
    labels[1:-1, 1:-1] = _zones(inner, rng, int(rng.integers(1, 6))).reshape(columns - 2, rows - 2)
    for _ in range(int(rng.integers(2, 12))):
        width, height = (int(n) for n in rng.choice([1, 1, 2, 3], 2))
        if rng.random() < 0.4:
            width, height = (1, int(rng.integers(3, 7))) if rng.random() < 0.5 else (int(rng.integers(3, 7)), 1)
        # two cells of distance to the rim and to other blocks keep every gap wide enough
        left, low = int(rng.integers(3, columns - 3)), int(rng.integers(3, rows - 3))
        width, height = min(width, columns - 3 - left), min(height, rows - 3 - low)
        around = labels[left - 2 : left + width + 2, low - 2 : low + height + 2]
        if width > 0 and height > 0 and (around != SOLID).all():
            labels[left : left + width, low : low + height] = SOLID
    x, y = (_lines(np.full(n, rng.uniform(64, 112)) * rng.uniform(0.85, 1.15, n)) for n in (columns, rows))
    return Layout(labels, x, y, pillars=float(rng.uniform(0.0, 0.06)))


def cave(rng: np.random.Generator) -> Layout:
    """Draw winding passages dug by random walks, with bent walls."""
    size = int(rng.integers(14, 22))
    dug = np.zeros((size, size), dtype=bool)
    here = np.array([size // 2, size // 2])
    target = rng.uniform(0.3, 0.55) * size * size
    heading = 0
    while dug.sum() < target:
        if rng.random() < 0.35:
            heading = int(rng.integers(4))
        here = np.clip(here + ((1, 0), (-1, 0), (0, 1), (0, -1))[heading], 1, size - 3)
        dug[here[0] : here[0] + 2, here[1] : here[1] + 2] = True
    labels = np.full((size, size), SOLID)
    labels[dug] = _zones(np.argwhere(dug), rng, int(rng.integers(2, 7)))
    pitch = rng.uniform(96, 150)
    x, y = (_lines(np.full(size, pitch)) for _ in range(2))
    return Layout(labels, x, y, bends=float(rng.uniform(0.1, 0.28) * pitch), pillars=float(rng.choice([0.0, 0.03])))


FAMILIES: dict[str, Callable[[np.random.Generator], Layout]] = {
    "maze": maze,
    "rooms": rooms,
    "hall": hall,
    "cave": cave,
}
