"""Shortest paths of a disc among walls: straight lines that touch corners, and arcs around those corners.

A disc whose centre keeps its radius from every wall moves like a point among walls that are thicker by the radius. Its
shortest paths are taut strings: straight, and bent only around ends of walls, on circles of that radius.
So a map needs no grid: its corners, the lines that touch two of them (four for every pair) and which lines and arcs are
free decide everything, exactly. Lengths are Doom map units, angles radians.

A path goes round a corner in one of two *turns*: 1 anticlockwise, -1 clockwise. A *bend* is a corner with a turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from li_env.accel.grouping import equal_groups
from li_env.doom.collision import RADIUS, segment_distances
from li_env.doom.space import GRID_SLACK, FreeSpace

SLACK = 0.05
"""Walls may come closer than the radius by this much: lines along a wall touch it, and so do players."""

_SAMPLES = 360  # of a circle around a corner
_STEP = 2 * np.pi / _SAMPLES
_ROOMS = 6.0  # a position that keeps the radius lies in a cell of the grid of rooms that keeps this much
_SAME = 1e-6  # radians: rounding must not send a path once around a corner
_TURNS = np.array([1.0, -1.0])


@dataclass(frozen=True)
class Touching:
    """Lines that touch the circle of every bend: from points [n, 2] to bends [b], or from bends to points.

    Attributes:
        points: [n, b, 2] where they touch.
        angles: [n, b] of these points, from the corner.
        lengths: [n, b]; infinite for points inside of the circle.
    """

    points: np.ndarray
    angles: np.ndarray
    lengths: np.ndarray


class Tangents:
    """Net of free lines between the corners of a map.

    Args:
        segments: walls [n, 4] (x1, y1, x2, y2).
        start: (x, y) of a free position: the net lies on that side of the walls.
        radius: of the disc.

    Raises:
        ValueError: the start is too close to a wall.

    Attributes:
        bends: number of bends b.
        leaving: [b, k] lines that begin at each bend, -1 for none.
        first, last: [e] bends where each line begins and ends.
        arrive: [e] angle of the end, from the corner.
        lengths: [e].
        following: [e, k] lines that begin where a line ends, -1 for none.
        arcs: [e, k] length of the arc to the following lines, infinite where there is no free one.
    """

    def __init__(self, segments: np.ndarray, start: tuple[float, float], radius: float = RADIUS) -> None:
        self._radius = radius
        self._rooms, self._floor = (FreeSpace(segments, start, wide) for wide in (_ROOMS - GRID_SLACK, radius))
        self._start, self._along = segments[:, :2], segments[:, 2:] - segments[:, :2]
        self._segments = segments
        corners = np.unique(segments.reshape(-1, 2), axis=0)
        blocked = self._blocked_around(corners)
        # Slack leaves a little free even where a wall goes straight on. Such corners stay: the least bend counts.
        bent = ~blocked.all(1)
        self._corners = corners[bent].repeat(2, axis=0)  # [b, 2]
        self._turns = np.tile(_TURNS, int(bent.sum()))
        twice = np.concatenate([blocked[bent], blocked[bent]], axis=1)
        counts = np.concatenate([np.zeros((len(twice), 1), dtype=int), np.cumsum(twice, axis=1)], axis=1)
        self._blocked = counts.astype(np.int16)  # [corners, 1 + 2 samples]: samples before an index, going round twice
        self.bends = len(self._corners)
        self._connect()

    def _connect(self) -> None:
        first, last, leave, arrive, lengths = self._lines()
        self.first, self.last, self.lengths, self._leave, self.arrive = first, last, lengths, leave, arrive
        self.leaving = self._table(first)
        self.following = self.leaving[last]
        self.arcs = self.arcs_to(last, arrive)

    def _blocked_around(self, corners: np.ndarray) -> np.ndarray:
        """Mark the points on circles around corners [n, 2] that are too close to walls: bool [n, samples]."""
        angles = np.arange(_SAMPLES) * _STEP
        circle = self._radius * np.stack([np.cos(angles), np.sin(angles)], -1)
        near = segment_distances(corners[:, None], self._segments)[1] < 2 * self._radius
        blocked = np.zeros((len(corners), _SAMPLES), dtype=bool)
        for wall in range(int(near.sum(1).max())):
            own = np.flatnonzero(near.sum(1) > wall)
            walls = np.argsort(~near[own], axis=1, kind="stable")[:, wall]
            distances = segment_distances(corners[own, None] + circle, self._segments[walls, None])[1]
            blocked[own] |= distances < self._radius - SLACK
        return blocked | ~self._rooms.contains_all(corners[:, None] + circle)

    def _table(self, first: np.ndarray) -> np.ndarray:
        """List the lines that leave each bend [b, k], -1 for none."""
        counts = np.bincount(first, minlength=self.bends)
        table = np.full((self.bends, max(1, int(counts.max(initial=0)))), -1)
        order = np.argsort(first, kind="stable")
        slot = np.arange(len(order)) - np.searchsorted(first[order], first[order])
        table[first[order], slot] = order
        return table

    def _lines(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Find all free lines: (first bend, last bend, angle of leaving, angle of arrival, length), [e] each."""
        corners, turns, radius = self._corners, self._turns, self._radius
        between = corners[None] - corners[:, None]
        distance = np.hypot(between[..., 0], between[..., 1])
        across = (turns[None] - turns[:, None]) * radius
        first, last = np.nonzero((distance > _SAME) & (distance > np.abs(across)))
        between, distance, across = between[first, last], distance[first, last], across[first, last]
        heading = np.arctan2(between[:, 1], between[:, 0]) - np.arcsin(across / distance)
        lengths = np.sqrt(distance**2 - across**2)
        # The centre of an anticlockwise turn lies to the left.
        leave, arrive = (heading - turns[end] * np.pi / 2 for end in (first, last))
        open_ends = self._is_free(first, leave) & self._is_free(last, arrive)
        first, last, leave, arrive, lengths = (each[open_ends] for each in (first, last, leave, arrive, lengths))
        free = self.are_clear(self._on_circle(first, leave), self._on_circle(last, arrive))
        return first[free], last[free], leave[free], arrive[free], lengths[free]

    def _on_circle(self, bends: np.ndarray, angles: np.ndarray) -> np.ndarray:
        return self._corners[bends] + self._radius * np.stack([np.cos(angles), np.sin(angles)], -1)

    def _is_free(self, bends: np.ndarray, angles: np.ndarray) -> np.ndarray:
        sample = np.rint(angles / _STEP).astype(int) % _SAMPLES
        return self._blocked[bends // 2, sample + 1] == self._blocked[bends // 2, sample]

    def contains(self, point: np.ndarray) -> bool:
        """Return whether the disc can stand at a point [2], on the side of the walls where it can walk."""
        return bool(self.contain(point[None])[0])

    def contain(self, points: np.ndarray) -> np.ndarray:
        """Return `contains` for points [n, 2]: bool [n]."""
        return (self.clearance(points) >= self._radius - SLACK) & self._rooms.contains_all(points)

    def nearest(self, point: np.ndarray) -> np.ndarray:
        """Return the nearest point [2] of a grid from which the disc can walk to the start."""
        return self._floor.nearest(point)

    def are_free(self, angles: np.ndarray) -> np.ndarray:
        """Return whether the disc can stand at ``angles`` [..., b] on the circles of all bends: bool [..., b]."""
        return self._is_free(np.arange(self.bends), angles)

    def clearance(self, points: np.ndarray) -> np.ndarray:
        """Measure the distance [n] of points [n, 2] to the nearest wall."""
        return segment_distances(points[:, None], self._segments)[1].min(1)

    def push_out(self, point: np.ndarray) -> np.ndarray:
        """Move a point [2] that is too close to walls straight away from the nearest one, in at most eight steps."""
        for _ in range(8):
            offsets, distances = segment_distances(point, self._segments)
            nearest = int(distances.argmin())
            if distances[nearest] >= self._radius - SLACK / 2:
                break
            point = point + offsets[nearest] * (self._radius / max(float(distances[nearest]), 1e-9) - 1)
        return point

    def are_clear(self, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Return whether the disc can go straight from ``starts`` to ``ends`` [..., 2], both of which must be free."""
        cosine, sine, length = (each[..., None] for each in _directions(ends - starts))
        left, up = self._start[:, 0] - starts[..., :1], self._start[:, 1] - starts[..., 1:]
        along_x, along_y = self._along[:, 0], self._along[:, 1]
        hits = _hits(left, up, along_x, along_y, cosine, sine, length, self._radius - SLACK)
        clear: np.ndarray = np.logical_not(hits.any(-1))
        return clear

    def touching(self, points: np.ndarray, backwards: bool = False) -> Touching:
        """Return the lines from points [n, 2] to every bend, or with ``backwards`` from every bend to the points."""
        turns = -self._turns if backwards else self._turns
        between = self._corners - points[:, None]
        distance = np.hypot(between[..., 0], between[..., 1])
        share = self._radius / np.maximum(distance, 1e-9)
        known = distance > self._radius - 2 * SLACK  # a player that touches a corner may be a little inside its circle
        share = np.where(known, np.minimum(share, 1.0), 0.0)
        heading = np.arctan2(between[..., 1], between[..., 0]) - turns * np.arcsin(share)
        lengths = np.where(known, distance * np.sqrt(1 - share**2), np.inf)
        angles = heading - turns * np.pi / 2
        touches = self._corners + self._radius * np.stack([np.cos(angles), np.sin(angles)], -1)
        return Touching(touches, angles, lengths)

    def arc(self, bends: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Measure the arc round ``bends`` from angle ``start`` to ``end`` (all of one shape); infinite if blocked."""
        turns = self._turns[bends]
        angle = (turns * (end - start)) % (2 * np.pi)
        angle = np.where(angle > 2 * np.pi - _SAME, 0.0, angle)
        low = np.where(turns > 0, start, start - angle) % (2 * np.pi)
        begin = np.ceil(low / _STEP).astype(int)
        stop = np.maximum(np.floor((low + angle) / _STEP).astype(int) + 1, begin)
        corners = bends // 2
        blocked = self._blocked[corners, np.minimum(stop, 2 * _SAMPLES)] > self._blocked[corners, begin]
        return np.where(blocked, np.inf, self._radius * angle)

    def arcs_to(self, bends: np.ndarray, angles: np.ndarray) -> np.ndarray:
        """Measure arcs [..., k] from ``angles`` on ``bends`` [...] to the lines that leave them, as in ``leaving``."""
        lines = self.leaving[bends]
        if not len(self._leave):
            return np.full(lines.shape, np.inf)
        arcs = self.arc(np.broadcast_to(bends[..., None], lines.shape), angles[..., None], self._leave[lines])
        return np.where(lines >= 0, arcs, np.inf)


def stand_and_see(nets: Sequence[Tangents], points: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tell for n nets whether each one's disc can stand at its point, and whether it can go straight to its end.

    Args:
        nets: n, of any maps, of discs of one radius.
        points: [n, 2].
        ends: [n, 2], where the discs can stand.

    Returns:
        bool [n] each: what `Tangents.contain` and `Tangents.are_clear` say.
    """
    counts = [len(net._segments) for net in nets]
    own, firsts = np.repeat(np.arange(len(nets)), counts), np.cumsum([0, *counts[:-1]])
    segments = np.concatenate([net._segments for net in nets])
    clearance = np.minimum.reduceat(segment_distances(points[own], segments)[1], firsts)
    along_x, along_y = segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1]
    left, up = segments[:, 0] - points[own, 0], segments[:, 1] - points[own, 1]
    cosine, sine, length = (each[own] for each in _directions(ends - points))
    least = nets[0]._radius - SLACK
    hits = np.logical_or.reduceat(_hits(left, up, along_x, along_y, cosine, sine, length, least), firsts)
    stands = clearance >= least
    for rows in equal_groups(nets):
        stands[rows] &= nets[rows[0]]._rooms.contains_all(points[rows])
    return stands, ~hits


def _directions(moves: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return cosine, sine and length [...] of moves [..., 2]."""
    length = np.sqrt(moves[..., 0] ** 2 + moves[..., 1] ** 2)
    still, divisor = length < 1e-9, np.maximum(length, 1e-9)  # any direction will do
    return np.where(still, 1.0, moves[..., 0] / divisor), np.where(still, 0.0, moves[..., 1] / divisor), length


def _hits(
    left: np.ndarray,
    up: np.ndarray,
    along_x: np.ndarray,
    along_y: np.ndarray,
    cosine: np.ndarray,
    sine: np.ndarray,
    length: np.ndarray,
    least: float,
) -> np.ndarray:
    """Tell which walls come closer than ``least`` to moves; everything broadcasts.

    Args:
        left, up: from the beginnings of moves to those of walls.
        along_x, along_y: from the beginnings of walls to their ends.
        cosine, sine, length: of moves.
        least: what walls beside a move must keep.
    """
    # Walls in the axes of the move: x along it, y to its left.
    x, y = left * cosine + up * sine, up * cosine - left * sine
    dx = along_x * cosine + along_y * sine
    dy = along_y * cosine - along_x * sine
    np.copyto(dx, 1e-9, where=np.abs(dx) < 1e-9)  # several times faster than an index by a mask
    one, two = -x / dx, (length - x) / dx
    enter, leave = np.maximum(np.minimum(one, two), 0.0), np.minimum(np.maximum(one, two), 1.0)
    first, last = y + enter * dy, y + leave * dy
    close = np.minimum(np.abs(first), np.abs(last)) < least
    hits: np.ndarray = (enter <= leave) & (close | (first * last < 0))
    return hits
