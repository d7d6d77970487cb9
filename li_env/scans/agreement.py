"""Views that disagree with their poses, found by comparing neighbouring views.

Two views agree if patches of one are found in the other on the lines where the poses say that they must be, at some
depth (a plane sweep with normalised correlation). Views from one spot need no depth. How well a view agrees with its
neighbours is compared with how well it agrees with views somewhere else in the scan: repeated textures agree by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from li_env.accel.geometry.camera import inverse
from li_env.scans.axes import other_cameras
from li_env.scans.checks import spot_distances

WIDTH = 64
"""Pixels of a row of the pictures that are compared."""

_WINDOW = (9, 9)
_FLAT = 16.0  # variance of grey levels in a window, below which it is too plain to be compared
_NEIGHBOURS, _BEST = 6, 2
_ELSEWHERE = 4  # poses at which a view is tried by chance
_SURE = 24  # the same for a view that seems to disagree
_TURN = 70.0  # degrees between views, above which they share too little
_CLEAR = 0.28  # median margin from which views of a kind say something
_SHARE = 0.3  # of the median margin: a view below disagrees
_BIN = 24  # views of a kind, at least


@dataclass(frozen=True, eq=False)
class Agreement:
    """Comparison of a scan's views with their poses.

    Attributes:
        margins: [n], how much better each view agrees with its neighbours than with views elsewhere; NaN where it
            was not compared, because it has no near neighbour or is too plain.
        wrong: views that disagree with their poses, the worst one first.
        fits: view of ``wrong`` -> the view whose pose fits better, where there is one.
        convention: what to do with the poses of a scan whose views all disagree, or an empty text.
    """

    margins: np.ndarray
    wrong: tuple[int, ...]
    fits: dict[int, int]
    convention: str = ""

    @property
    def compared(self) -> int:
        """Number of views that were compared."""
        return int(np.isfinite(self.margins).sum())


def compare_views(
    images: np.ndarray,
    poses: np.ndarray,
    intrinsics: np.ndarray,
    seed: int = 0,
    on_view: Callable[[], None] = lambda: None,
) -> Agreement:
    """Compare every view with its neighbours, some tens of milliseconds each.

    Args:
        images: uint8 [n, H, W, 3].
        poses: [n, 4, 4] camera-to-world, OpenCV axes.
        intrinsics: [4] or [n, 4] in pixels.
        seed: picks the views elsewhere.
        on_view: called after every view, to show progress.
    """
    pictures = _Pictures(images, intrinsics)
    if len(images) < 4:
        return Agreement(np.full(len(images), np.nan), (), {})
    sweep = _Sweep(pictures, poses)
    rng = np.random.default_rng(seed)
    margins = np.empty(len(images))
    for view in range(len(images)):
        margins[view] = sweep.score(view, view) - sweep.by_chance(view, rng)
        on_view()
    kept, limits = _decided(margins, sweep.closeness)
    suspects = np.flatnonzero(kept & (margins < limits))
    for view in suspects.tolist():  # so few poses by chance may have been the wrong ones
        margins[view] = sweep.score(view, view) - sweep.by_chance(view, rng, _SURE)
    wrong = np.flatnonzero(kept & (margins < limits))
    wrong = wrong[np.argsort(margins[wrong], kind="stable")]
    fits = _fits(sweep, wrong, limits, rng)
    for view in wrong.tolist():  # a view beside wrong ones has nobody to agree with
        kept[view] = view in fits or np.isin(sweep.neighbours(view), wrong).sum() < _BEST
    convention = "" if kept.any() else _convention(pictures, poses, seed)
    judged = tuple(view for view in wrong.tolist() if kept[view])
    return Agreement(np.where(kept, margins, np.nan), judged, fits, convention)


class _Pictures:
    """Small grey pictures with the mean and variance around every pixel."""

    def __init__(self, images: np.ndarray, intrinsics: np.ndarray) -> None:
        height, width = images.shape[1:3]
        self.size = (WIDTH, max(_WINDOW[1], round(height * WIDTH / width)))
        lenses = np.broadcast_to(intrinsics, (len(images), 4)) * np.tile(np.array(self.size) / (width, height), 2)
        self.lenses = np.zeros((len(images), 3, 3))
        self.lenses[:, [0, 1, 0, 1], [0, 1, 2, 2]] = lenses - (0, 0, 0.5, 0.5)
        self.lenses[:, 2, 2] = 1.0
        self.rays = np.linalg.inv(self.lenses)
        self.grey = [
            cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), self.size, interpolation=cv2.INTER_AREA).astype(
                np.float32
            )
            for image in images
        ]
        self.spread = [_spread(grey) for grey in self.grey]
        columns, rows = np.meshgrid(*(np.arange(side, dtype=float) for side in self.size))
        self.pixels = np.stack([columns, rows, np.ones_like(rows)]).reshape(3, -1)


def _spread(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = cv2.blur(grey, _WINDOW)
    return mean, cv2.blur(grey * grey, _WINDOW) - mean * mean


class _Sweep:
    """Agreement of views under given poses."""

    def __init__(self, pictures: _Pictures, poses: np.ndarray) -> None:
        self.pictures, self.poses = pictures, poses
        nearest = spot_distances(poses)
        self._spacing = float(np.median(nearest)) if len(nearest) else 1.0
        self._slopes = [0.0, *(1 / np.geomspace(0.5 * self._spacing, 12 * self._spacing, 9))]
        self._to_camera = inverse(poses)

    @cached_property
    def _neighbours(self) -> list[tuple[np.ndarray, float]]:
        """Nearest views of every pose, and how far the second of them is away."""
        positions, axes = self.poses[:, :3, 3], self.poses[:, :3, 2]
        found = []
        for view in range(len(self.poses)):
            turns = np.degrees(np.arccos(np.clip(axes @ axes[view], -1, 1)))
            away = np.linalg.norm(positions - positions[view], axis=1) / self._spacing + turns / 45
            away[view], away[turns > _TURN] = np.inf, np.inf
            order = np.argsort(away, kind="stable")[:_NEIGHBOURS]
            order = order[np.isfinite(away[order])]
            found.append((order, float(away[order[_BEST - 1]]) if len(order) >= _BEST else np.inf))
        return found

    def neighbours(self, pose: int) -> np.ndarray:
        """Return the views that are nearest to a pose, the nearest first."""
        return self._neighbours[pose][0]

    @property
    def closeness(self) -> np.ndarray:
        """Distance [n] of every pose to its second neighbour, turns counted too; infinite without one."""
        return np.array([away for _, away in self._neighbours])

    def by_chance(self, view: int, rng: np.random.Generator, poses: int = _ELSEWHERE) -> float:
        """Return the mean score of a view at ``poses`` poses of other views."""
        others = rng.choice(len(self.poses), min(poses, len(self.poses)), replace=False)
        scores = [self.score(view, int(pose)) for pose in others if pose != view]
        return float(np.nanmean(scores)) if np.isfinite(scores).any() else np.nan

    def score(self, view: int, pose: int) -> float:
        """Return how well a view agrees with the best neighbours of a pose, NaN if it cannot be compared."""
        others = [other for other in self.neighbours(pose).tolist() if other != view]
        found = sorted((self._pair(other, view, pose) for other in others), reverse=True)
        found = [score for score in found if score >= 0]
        return float(np.mean(found[:_BEST])) if found else np.nan

    def _pair(self, other: int, view: int, pose: int) -> float:
        """Return the mean correlation of a view, put at a pose, with another view; -1 without common pixels."""
        pictures = self.pictures
        step = self._to_camera[pose] @ self.poses[other]
        still = float(np.linalg.norm(step[:3, 3])) < 1e-3 * self._spacing
        mean, variance = pictures.spread[view]
        best, seen = np.full_like(mean, -1.0), np.zeros(mean.shape, dtype=bool)
        source = pictures.grey[other]
        for slope in self._slopes[:1] if still else self._slopes:
            plane = step[:3, :3] + np.outer(step[:3, 3], (0.0, 0.0, slope))
            back = np.linalg.inv(plane) if abs(np.linalg.det(plane)) > 1e-9 else None
            if back is None:
                continue
            matrix = pictures.lenses[other] @ back @ pictures.rays[view]
            depth = (matrix[2] @ pictures.pixels).reshape(mean.shape)
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            moved = cv2.warpPerspective(source, matrix, pictures.size, flags=flags)
            inside = cv2.warpPerspective(np.ones_like(source), matrix, pictures.size, flags=flags)
            covered = (cv2.erode(inside, np.ones(_WINDOW)) > 0.999) & (depth > 0)
            if not covered.any():
                continue
            mean_moved, variance_moved = _spread(moved)
            product = cv2.blur(moved * pictures.grey[view], _WINDOW) - mean_moved * mean
            usable = covered & (variance_moved > _FLAT)
            score = product / np.sqrt(np.maximum(variance_moved, _FLAT) * np.maximum(variance, _FLAT))
            best = np.maximum(best, np.where(usable, score, -1.0))
            seen |= covered
        seen &= variance > _FLAT
        return float(np.clip(best[seen], 0, 1).mean()) if seen.mean() >= 0.05 else -1.0


def _decided(margins: np.ndarray, closeness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which views can be judged [n], and the margin below which each of them disagrees.

    Views are judged beside those whose neighbours are as far away: where such views do not agree as a rule, they are
    too far from each other, and nothing is said about any of them.
    """
    kept, limits = np.zeros(len(margins), dtype=bool), np.zeros(len(margins))
    usable = np.flatnonzero(np.isfinite(margins) & np.isfinite(closeness))
    order = usable[np.argsort(closeness[usable], kind="stable")]
    for members in np.array_split(order, max(1, min(8, len(order) // _BIN))):
        median = float(np.median(margins[members])) if len(members) else 0.0
        if median >= _CLEAR:
            kept[members], limits[members] = True, _SHARE * median
    return kept, limits


def _fits(sweep: _Sweep, wrong: np.ndarray, limits: np.ndarray, rng: np.random.Generator) -> dict[int, int]:
    """Look for wrong views whose poses were exchanged."""
    fits = {}
    for view in wrong[:32].tolist():
        chance = sweep.by_chance(view, rng, _SURE)
        scores = {int(pose): sweep.score(view, int(pose)) - chance for pose in wrong[:32] if pose != view}
        best = max(scores, key=lambda pose: np.nan_to_num(scores[pose], nan=-1.0), default=None)
        if best is not None and scores[best] >= limits[view]:
            fits[view] = best
    return fits


def _convention(pictures: _Pictures, poses: np.ndarray, seed: int) -> str:
    """Say which other convention makes the views agree, if one does."""
    readings: Sequence[tuple[str, np.ndarray]] = (
        ("OpenGL axes: read with axes='opengl'", other_cameras(poses)),
        ("world-to-camera matrices: use np.linalg.inv(poses)", inverse(poses)),
        ("world-to-camera matrices with OpenGL axes: use np.linalg.inv(poses) and axes='opengl'",
         other_cameras(inverse(poses))),
    )  # fmt: skip
    picked = np.unique(np.linspace(0, len(poses) - 1, _BIN).astype(int))
    best, answer = _CLEAR, ""
    for name, matrices in readings:
        sweep, rng = _Sweep(pictures, matrices), np.random.default_rng(seed)
        margins = [sweep.score(view, view) - sweep.by_chance(view, rng) for view in picked.tolist()]
        if np.isfinite(margins).any() and float(np.nanmedian(margins)) > best:
            best, answer = float(np.nanmedian(margins)), name
    return answer
