"""Looks: how well posed views show sample points of coming views, and the views that together show them best.

A look at a point is better the smaller the angle between it and the coming look, and the nearer the two cameras are,
because what lies between them may hide the point. Views are taken one by one, each time the view that improves the best
looks most. Level cameras at one height get what `li_env.worlds.freedoom.training.views` computes in the plane; lengths
are shares of the view distance, so that worlds of other units use the same rule.
"""

from __future__ import annotations

import numpy as np

DEPTHS = np.array([1.0, 2.5, 5.0, 9.0]) / 12.0
"""Depths of the sample points, as shares of the view distance."""

OVERLAP_DEPTHS = np.array([1.0, 3.0, 6.0, 10.0]) / 12.0
"""Depths of the sample points by which `overlaps` compares views, as shares of the view distance."""

ANGLES = np.linspace(-0.7, 0.7, 6)
"""Directions of the sample points in radians for a horizontal field of view of 90 degrees."""

ANGLE_FALLOFF = 0.5
"""Radians between two looks at a point after which the second is worth 1 / e."""

OFFSET_FALLOFF = 5.0 / 12.0
"""Distance between cameras after which a look is worth 1 / e, as a share of the view distance."""

OVERLAP_FALLOFF = 6.25 / 12.0
"""The same for `overlaps`."""

CLOSENESS_SHARE = 1e-3
"""Worth of a view for its nearness alone, so that budgets are filled where no view shows anything."""

WELL_SHOWN = float(np.exp(-1.0))
"""Worth of a look from which its point counts as shown well."""

_MISSING = -2.0
"""Worth of a candidate that does not exist: less than that of any other."""


class LookSampler:
    """Sampler of points in coming views, and judge of other views' looks at them.

    Coordinates begin at the first coming camera, so that a result does not depend on where the place lies. Matrix
    products are made per episode: a result does not depend on the batch either, as long as the number of candidates
    stays the same.

    Args:
        focal: (fx / width, fy / height) of a view.
        distance: how far a view shows the scene, in length units.
    """

    def __init__(self, focal: tuple[float, float], distance: float) -> None:
        self._distance = distance
        self._slopes = 0.5 / focal[0], 0.5 / focal[1]
        angles = ANGLES * (np.arctan(self._slopes[0]) / (np.pi / 4))
        self._directions = np.stack([np.sin(angles), np.zeros_like(angles), np.cos(angles)])

    def looks(self, queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Rate each candidate's look at sample points of the coming views.

        Args:
            queries: [B, q, 4, 4] coming poses.
            candidates: [B, m, 4, 4].

        Returns:
            ratings float32 [B, m, p] in [0, 1].
        """
        points, rays = self._points(queries, DEPTHS)
        positions = _positions(queries, candidates)
        seen, squares = self._see(positions, candidates, points)
        along = (rays * points).sum(axis=1)[:, None] - positions @ rays
        # Few looks are possible: only those are rated.
        where = np.flatnonzero(seen)
        cosine = along.ravel()[where] / np.sqrt(squares.ravel()[where])
        # The chord between unit vectors is exact for small angles in single precision, where the cosine is not.
        chord = np.sqrt(np.maximum(2.0 - 2.0 * cosine, 0.0).astype(np.float32))
        turn = 2.0 * np.arcsin(np.minimum(np.float32(1.0), np.float32(0.5) * chord))
        near = self.offsets(queries, candidates).ravel()[where // points.shape[2]]
        ratings = np.zeros(seen.shape, dtype=np.float32)
        falloff = np.float32(OFFSET_FALLOFF * self._distance)
        ratings.ravel()[where] = np.exp(-turn / np.float32(ANGLE_FALLOFF) - near / falloff)
        return ratings

    def overlaps(self, queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Return the share of sample points that each candidate sees, less for cameras farther away: [B, m].

        Args:
            queries: [B, q, 4, 4] coming poses.
            candidates: [B, m, 4, 4].
        """
        points, _ = self._points(queries, OVERLAP_DEPTHS)
        seen, _ = self._see(_positions(queries, candidates), candidates, points)
        offset = self.offsets(queries, candidates) / np.float32(OVERLAP_FALLOFF * self._distance)
        share: np.ndarray = seen.mean(axis=-1, dtype=np.float32) * np.exp(-offset)
        return share

    def offsets(self, queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Return the distance float32 [B, m] from the first coming camera to each candidate."""
        positions = _positions(queries, candidates)
        return np.sqrt(np.einsum("bmi,bmi->bm", positions, positions)).astype(np.float32)

    def closeness(self, queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Return what each candidate is worth for its nearness alone: [B, m]."""
        offset = self.offsets(queries, candidates) / np.float32(OFFSET_FALLOFF * self._distance)
        worth: np.ndarray = np.float32(CLOSENESS_SHARE) * np.exp(-offset)
        return worth

    def _points(self, queries: np.ndarray, depths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return sample points around the first camera, and unit rays to them: [B, 3, p] each."""
        rays = np.einsum("bqij,ja->biqa", queries[..., :3, :3], self._directions)
        rays = np.repeat(rays[..., None], len(depths), axis=-1)
        origins = (queries[..., :3, 3] - queries[:, :1, :3, 3]).transpose(0, 2, 1)[..., None, None]
        points = origins + rays * (depths * self._distance)
        return points.reshape(*points.shape[:2], -1), rays.reshape(*rays.shape[:2], -1)

    def _see(self, positions: np.ndarray, candidates: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which points [B, 3, p] each candidate sees, and the squares of their distances: [B, m, p]."""
        batch, count = positions.shape[:2]
        axes = candidates[..., :3, :3].transpose(0, 3, 1, 2)  # [B, axis, m, 3]
        shifts = -np.einsum("bami,bmi->bam", axes, positions)
        rows = np.concatenate([axes, shifts[..., None]], axis=-1).reshape(batch, 3 * count, 4)
        columns = np.concatenate([points, np.ones_like(points[:, :1])], axis=1)
        right, down, forward = (rows @ columns).reshape(batch, 3, count, -1).swapaxes(0, 1)
        squares = (points**2).sum(axis=1)[:, None] + (positions**2).sum(axis=2)[..., None] - 2.0 * (positions @ points)
        seen = (np.abs(right) < self._slopes[0] * forward) & (np.abs(down) < self._slopes[1] * forward)
        return seen & (squares < self._distance**2) & (squares > 0), squares


def choose_views(
    ratings: np.ndarray, closeness: np.ndarray, exists: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Choose candidates one after another, each the candidate that improves the best looks most.

    Args:
        ratings: [B, m, p] looks of the candidates, see `LookSampler.looks`.
        closeness: [B, m], see `LookSampler.closeness`.
        exists: bool [B, m]; others are never chosen.
        count: most candidates to choose.

    Returns:
        columns [B, min(count, m)] in the order of choice, -1 where no candidate is left, and the best looks [B, p].
    """
    rows = np.arange(len(ratings))
    near = np.where(exists, closeness, np.float32(_MISSING))
    best = np.zeros((len(ratings), ratings.shape[2]), dtype=np.float32)
    picks = np.full((len(ratings), min(count, ratings.shape[1])), -1)
    better = np.empty_like(ratings)
    for turn in range(picks.shape[1]):
        np.maximum(np.subtract(ratings, best[:, None], out=better), 0.0, out=better)
        gain = better.mean(axis=-1) + near
        pick = gain.argmax(axis=1)  # ties go to the first
        found = gain[rows, pick] > 0
        picks[found, turn] = pick[found]
        best[found] = np.maximum(best[found], ratings[rows, pick][found])
        near[rows, pick] = _MISSING
    return picks, best


def _positions(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return the positions [B, m, 3] of candidates seen from the first coming camera, in world axes."""
    positions: np.ndarray = candidates[..., :3, 3] - queries[:, :1, :3, 3]
    return positions
