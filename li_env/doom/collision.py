"""Collision of the player with walls: stop at them or slide along them, as the game does.

The renderer moves the camera by teleporting, which ignores walls, so the walls are enforced here. The player is a disc:
at flat walls that equals the game's box, at corners it does not depend on the map's axes. Lengths are Doom map units.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RADIUS = 17.0
"""The game's 16 units plus the rounding to whole units that rendering needs."""

LONGEST_STEP = 48.0
"""Longest displacement of one call."""

_SUBSTEP = 8.0  # below the radius, so that no sub-step can jump a wall
_BUCKET = 96.0
_PUSHES = 6
_FAR = 1.0e7


def segment_distances(points: np.ndarray, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure from the nearest points of ``segments`` [..., 4] (x1, y1, x2, y2) to ``points`` [..., 2].

    Leading dimensions broadcast. Returns (offsets [..., 2], distances [...]).
    """
    # Component by component: sums along an axis of two numbers take several times as long.
    x, y = segments[..., 0], segments[..., 1]
    along_x, along_y = segments[..., 2] - x, segments[..., 3] - y
    relative_x, relative_y = points[..., 0] - x, points[..., 1] - y
    length_squared = np.maximum(along_x * along_x + along_y * along_y, 1e-12)
    share = (relative_x * along_x + relative_y * along_y) / length_squared
    share = np.minimum(np.maximum(share, 0.0), 1.0)
    offsets = np.empty((*share.shape, 2))
    offset_x = np.subtract(relative_x, share * along_x, out=offsets[..., 0])
    offset_y = np.subtract(relative_y, share * along_y, out=offsets[..., 1])
    return offsets, np.sqrt(offset_x * offset_x + offset_y * offset_y)


class Walls:
    """Blocking segments of one or several maps, bucketed so that a step looks only at walls nearby.

    Args:
        maps: per map a float array [n, 4] (x1, y1, x2, y2).
        radius: of the player, at least 16.
    """

    def __init__(self, maps: Sequence[np.ndarray], radius: float = RADIUS) -> None:
        self._radius = radius
        reach = LONGEST_STEP + radius
        tables: list[np.ndarray] = []
        origins, shapes, bases = [], [], []
        self._segments = np.concatenate([*maps, np.full((1, 4), _FAR)]).astype(np.float64)
        first, rows = 0, 0
        for segments in maps:
            points = segments.reshape(-1, 2)
            origin = points.min(0) - _BUCKET
            shape = np.ceil((points.max(0) + _BUCKET - origin) / _BUCKET).astype(int)
            centres = origin + (np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) + 0.5) * _BUCKET
            _, distances = segment_distances(centres.reshape(-1, 1, 2), segments[None])
            near = distances <= reach + _BUCKET * np.sqrt(0.5)
            table = np.full((near.shape[0], max(1, int(near.sum(1).max()))), -1)
            bucket, segment = np.nonzero(near)
            slot = np.arange(len(bucket)) - np.searchsorted(bucket, bucket)
            table[bucket, slot] = segment + first
            tables.append(table)
            origins.append(origin)
            shapes.append(shape)
            bases.append(rows)
            first += len(segments)
            rows += len(table)
        width = max(table.shape[1] for table in tables)
        padded = [np.pad(table, ((0, 0), (0, width - table.shape[1])), constant_values=-1) for table in tables]
        self._near = np.concatenate(padded)  # -1 is the far-away dummy segment
        self._origins, self._shapes, self._bases = np.array(origins), np.array(shapes), np.array(bases)

    @classmethod
    def join(cls, parts: Sequence[Walls]) -> Walls:
        """Join the maps of all parts in their order, without measuring them again; all parts must have one radius."""
        joined = cls.__new__(cls)
        joined._radius = parts[0]._radius
        counts = [len(part._segments) - 1 for part in parts]  # without the far-away dummy
        firsts = np.cumsum([0, *counts[:-1]])
        width = max(part._near.shape[1] for part in parts)
        tables = []
        for part, first in zip(parts, firsts.tolist(), strict=True):
            table = np.full((len(part._near), width), -1)
            table[:, : part._near.shape[1]] = np.where(part._near < 0, -1, part._near + first)
            tables.append(table)
        joined._segments = np.concatenate([*(part._segments[:-1] for part in parts), np.full((1, 4), _FAR)])
        joined._near = np.concatenate(tables)
        joined._origins = np.concatenate([part._origins for part in parts])
        joined._shapes = np.concatenate([part._shapes for part in parts])
        rows = np.cumsum([0, *[len(part._near) for part in parts[:-1]]])
        joined._bases = np.concatenate([part._bases + row for part, row in zip(parts, rows, strict=True)])
        return joined

    def _nearby(self, which: np.ndarray, positions: np.ndarray) -> np.ndarray:
        cells = ((positions - self._origins[which]) / _BUCKET).astype(int)
        cells = np.clip(cells, 0, self._shapes[which] - 1)
        return self._segments[self._near[self._bases[which] + cells[:, 0] * self._shapes[which, 1] + cells[:, 1]]]

    def clearance(self, which: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Measure the distance [b] of positions [b, 2] in maps ``which`` [b] to walls, exact up to `LONGEST_STEP`."""
        return segment_distances(positions[:, None], self._nearby(which, positions))[1].min(1)

    def slide(self, which: np.ndarray, positions: np.ndarray, displacements: np.ndarray) -> np.ndarray:
        """Move players at ``positions`` [b, 2] in maps ``which`` [b] by ``displacements`` [b, 2], sliding along walls.

        The end of a player is bit for bit the same in every batch. It keeps the radius from every wall if the start
        does.

        Returns:
            positions [b, 2].

        Raises:
            ValueError: a displacement longer than `LONGEST_STEP`.
        """
        lengths = np.sqrt((displacements * displacements).sum(1))
        if len(lengths) and lengths.max() > LONGEST_STEP + 1e-6:
            raise ValueError(f"displacement {lengths.max():.3f} is too long; allowed: up to {LONGEST_STEP} map units")
        result = positions + displacements
        if not len(lengths):
            return result
        walls = self._nearby(which, positions)
        _, distances = segment_distances(positions[:, None], walls)
        blocked = np.flatnonzero((distances.min(1) < self._radius + lengths) & (lengths > 0))
        if len(blocked):
            result[blocked] = _push_along(walls[blocked], positions[blocked], displacements[blocked], self._radius)
        return result


def _push_along(walls: np.ndarray, positions: np.ndarray, displacements: np.ndarray, radius: float) -> np.ndarray:
    """Move in short sub-steps, each followed by pushing the disc out of the wall that it entered deepest.

    Every row takes its own number of sub-steps and of pushes, so that a player ends at the same point in every batch.
    """
    counts = np.ceil(np.sqrt((displacements**2).sum(1)) / _SUBSTEP).astype(int)
    strides = displacements / counts[:, None]
    here = positions.copy()
    for taken in range(int(counts.max())):
        rows = np.flatnonzero(counts > taken)
        here[rows] = _push_out(walls[rows], here[rows], here[rows] + strides[rows], radius)
    return here


def _push_out(walls: np.ndarray, before: np.ndarray, after: np.ndarray, radius: float) -> np.ndarray:
    """Push ``after`` [b, 2] out of walls [b, k, 4]; return ``before`` where that fails."""
    here = after.copy()
    for _ in range(_PUSHES):
        offsets, distances = segment_distances(here[:, None], walls)
        deepest = distances.argmin(1)[:, None]
        distance = np.take_along_axis(distances, deepest, 1)
        direction = np.take_along_axis(offsets, deepest[..., None], 1)[:, 0] / np.maximum(distance, 1e-9)
        inside = distance < radius - 1e-9
        if not inside.any():  # only saves work: a row that is not inside stays where it is
            break
        here = np.where(inside, here + direction * (radius - distance), here)
    stuck = segment_distances(here[:, None], walls)[1].min(1) < radius - 1e-6
    return np.where(stuck[:, None], before, here)  # a narrow corner: stay where the last sub-step was free


def slide(segments: np.ndarray, position: np.ndarray, displacement: np.ndarray) -> np.ndarray:
    """Move one player [2] among ``segments`` [n, 4] as `Walls.slide` does."""
    which = np.zeros(1, dtype=int)
    return Walls([segments]).slide(which, np.asarray(position, float)[None], np.asarray(displacement, float)[None])[0]
