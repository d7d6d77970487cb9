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

    All arithmetic is elementwise in single precision around the first coming camera, so that a result depends neither
    on the size of the batch nor on where the place lies.

    Args:
        focal: (fx / width, fy / height) of a view.
        distance: how far a view shows the scene, in length units.
    """

    def __init__(self, focal: tuple[float, float], distance: float) -> None:
        self._distance = np.float32(distance)
        self._slopes = tuple(np.float32(0.5 / each) for each in focal)
        self._angles = ANGLES * (np.arctan(0.5 / focal[0]) / (np.pi / 4))

    def looks(self, queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Rate each candidate's look at sample points of the coming views.

        Args:
            queries: [B, q, 4, 4] coming poses.
            candidates: [B, m, 4, 4].

        Returns:
            ratings float32 [B, m, p] in [0, 1].
        """
        points, rays = self._points(queries, DEPTHS)
        away, squares, seen = self._see(queries, candidates, points)
        length = np.sqrt(np.maximum(squares, np.float32(1e-12)))
        # The chord between unit vectors: exact for small angles, where the cosine is not.
        chord = sum(np.square(part / length - ray[:, None]) for part, ray in zip(away, rays, strict=True))
        turn = 2.0 * np.arcsin(np.minimum(1.0, 0.5 * np.sqrt(chord)))
        offset = self.offsets(queries, candidates)[..., None] / np.float32(OFFSET_FALLOFF * self._distance)
        rating: np.ndarray = seen * np.exp(-turn / np.float32(ANGLE_FALLOFF) - offset)
        return rating

    def overlaps(self, queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Return the share of sample points that each candidate sees, less for cameras farther away: [B, m].

        Args:
            queries: [B, q, 4, 4] coming poses.
            candidates: [B, m, 4, 4].
        """
        points, _ = self._points(queries, OVERLAP_DEPTHS)
        _, _, seen = self._see(queries, candidates, points)
        offset = self.offsets(queries, candidates) / np.float32(OVERLAP_FALLOFF * self._distance)
        share: np.ndarray = seen.mean(axis=-1, dtype=np.float32) * np.exp(-offset)
        return share

    def offsets(self, queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Return the distance float32 [B, m] from the first coming camera to each candidate."""
        x, y, z = self._positions(queries, candidates)
        offsets: np.ndarray = np.sqrt(x * x + y * y + z * z)
        return offsets

    def closeness(self, queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Return what each candidate is worth for its nearness alone: [B, m]."""
        offset = self.offsets(queries, candidates) / np.float32(OFFSET_FALLOFF * self._distance)
        worth: np.ndarray = np.float32(CLOSENESS_SHARE) * np.exp(-offset)
        return worth

    def _points(self, queries: np.ndarray, depths: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return sample points around the first camera and unit rays to them: x, y, z [B, p] of each."""
        directions = np.stack([np.sin(self._angles), np.zeros_like(self._angles), np.cos(self._angles)])
        rays = np.einsum("bqij,ja->biqa", queries[..., :3, :3], directions)
        rays = np.repeat(rays[..., None], len(depths), axis=-1)
        origins = (queries[..., :3, 3] - queries[:, :1, :3, 3]).transpose(0, 2, 1)[..., None, None]
        points = origins + rays * (depths * float(self._distance))
        return _components(points.reshape(*points.shape[:2], -1)), _components(rays.reshape(*rays.shape[:2], -1))

    def _positions(self, queries: np.ndarray, candidates: np.ndarray) -> list[np.ndarray]:
        """Return the candidates' positions seen from the first coming camera, in world axes: x, y, z [B, m]."""
        away = candidates[..., :3, 3] - queries[:, :1, :3, 3]
        return _components(away.transpose(0, 2, 1))

    def _see(
        self, queries: np.ndarray, candidates: np.ndarray, points: list[np.ndarray]
    ) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Return the vectors from candidates to points, their squared lengths, and which points are seen: [B, m, p]."""
        positions = self._positions(queries, candidates)
        away = [point[:, None] - place[..., None] for point, place in zip(points, positions, strict=True)]
        axes = candidates[..., :3, :3].astype(np.float32)[..., None]

        def along(axis: int) -> np.ndarray:
            return sum(part * axes[..., row, axis, :] for row, part in enumerate(away))  # type: ignore[return-value]

        squares: np.ndarray = sum(part * part for part in away)  # type: ignore[assignment]
        forward = along(2)
        seen = (forward > 0) & (np.abs(along(0)) < self._slopes[0] * forward)
        seen &= (np.abs(along(1)) < self._slopes[1] * forward) & (squares < self._distance**2)
        return away, squares, seen


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
    for turn in range(picks.shape[1]):
        gain = np.maximum(ratings - best[:, None], 0.0).mean(axis=-1) + near
        pick = gain.argmax(axis=1)  # ties go to the first
        found = gain[rows, pick] > 0
        picks[found, turn] = pick[found]
        best[found] = np.maximum(best[found], ratings[rows, pick][found])
        near[rows, pick] = _MISSING
    return picks, best


def _components(vectors: np.ndarray) -> list[np.ndarray]:
    """Split [B, 3, n] into x, y and z [B, n] float32."""
    return list(np.ascontiguousarray(vectors.transpose(1, 0, 2), dtype=np.float32))
