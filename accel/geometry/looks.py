"""Looks: how well posed views show sample points of coming views, and the views that together show them best.

A look at a point is better the smaller the angle between it and the coming look, and the nearer the two cameras are,
because what lies between them may hide the point. Views are taken one by one, each time the view that improves the best
looks most. Level cameras at one height get what `li_env.worlds.freedoom.training.views` computes in the plane; lengths
are shares of the view distance, so that worlds of other units use the same rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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

FEW_EPISODES = 4
"""Episodes for which looking again at all candidates takes less time than finding out which ones may win."""

_CACHED = 1 << 13
"""Numbers of one depth from which depths are computed one by one: their tables stay in the processor's cache."""

_MISSING = -2.0
"""Gain of a candidate that does not exist or is taken: less than that of any other."""


@dataclass(frozen=True)
class Candidates:
    """Cameras that may look at the sample points of B episodes, in one list.

    Attributes:
        counts: [B], candidates of each episode.
        poses: [N, 4, 4], those of the first episode, then those of the next.
    """

    counts: np.ndarray
    poses: np.ndarray

    @cached_property
    def episodes(self) -> np.ndarray:
        """Return the number [N] of each candidate's episode."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @cached_property
    def columns(self) -> np.ndarray:
        """Return the number [N] of each candidate among those of its episode."""
        starts = np.cumsum(self.counts) - self.counts
        return np.arange(len(self.poses)) - starts[self.episodes]

    def table(self, values: np.ndarray, missing: float) -> np.ndarray:
        """Return one row of ``values`` [N] per episode, as long as the longest needs: [B, m]."""
        table = np.full((len(self.counts), int(self.counts.max(initial=0))), missing, dtype=values.dtype)
        table[self.episodes, self.columns] = values
        return table


@dataclass(frozen=True)
class Looks:
    """Looks at the sample points that are worth something.

    Attributes:
        rows: numbers [R], increasing, of the candidates that see a sample point.
        ratings: float32 [R, p] in [0, 1], their looks.
        offsets: float32 [N], distance from the first coming camera to each candidate.
    """

    rows: np.ndarray
    ratings: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True)
class _Sight:
    """Which sample points candidates see.

    Attributes:
        seen: bool [depths, angles, q, N].
        along: [angles, q, N], length along each ray from the candidate to the coming camera.
        squares: [q, N], squared distance between the candidate and the coming camera.
    """

    seen: np.ndarray
    along: np.ndarray
    squares: np.ndarray


class LookSampler:
    """Sampler of points in coming views, and judge of other views' looks at them.

    Coordinates begin at the candidates, so that a result does not depend on where the place lies. Nothing but sums and
    products of single numbers: a result does not depend on the batch either.

    A coming camera's sample points lie on few rays. So what a candidate measures at a point, such as how far inside a
    side of its view the point lies, is what it measures at the coming camera plus the depth times what it measures
    along the ray.

    Args:
        focal: (fx / width, fy / height) of a view.
        distance: how far a view shows the scene, in length units.
    """

    def __init__(self, focal: tuple[float, float], distance: float) -> None:
        self._distance = distance
        self._slopes = 0.5 / focal[0], 0.5 / focal[1]
        angles = ANGLES * (np.arctan(self._slopes[0]) / (np.pi / 4))
        self._directions = np.stack([np.sin(angles), np.zeros_like(angles), np.cos(angles)])

    def looks(self, queries: np.ndarray, candidates: Candidates) -> Looks:
        """Rate each candidate's look at sample points of the coming views.

        Args:
            queries: [B, q, 4, 4] coming poses.
            candidates: cameras that may look.
        """
        sight, offsets = self._see(queries, candidates, DEPTHS * self._distance, np.float64)
        sees: np.ndarray = np.logical_or.reduce(sight.seen, axis=(0, 1, 2))
        rows, rays = np.flatnonzero(sees), sight.seen.shape[1] * sight.seen.shape[2]
        ratings = np.zeros((len(rows), rays * len(DEPTHS)), dtype=np.float32)
        angle, query = np.arange(len(ANGLES))[:, None], np.arange(queries.shape[1])
        column = ((query * len(ANGLES) + angle) * len(DEPTHS)).ravel()
        first = (np.cumsum(sees) - 1) * ratings.shape[1]
        near = offsets / np.float32(OFFSET_FALLOFF * self._distance)
        beside = np.maximum(sight.squares - sight.along * sight.along, 0.0)  # squared distance from the ray's line
        for part in _parts(len(DEPTHS), beside.size):
            # Few looks are possible: only those are rated.
            seen = sight.seen[part].reshape((part.stop - part.start) * rays, len(sees))
            depth, ray = np.divmod(np.arange(len(seen)), rays)
            depth += part.start
            where, counts = np.flatnonzero(seen), np.count_nonzero(seen, axis=1)
            row = where - np.repeat(np.arange(len(seen)) * len(sees), counts)
            line = row + np.repeat(ray * len(sees), counts)
            ahead = sight.along.take(line) + np.repeat(DEPTHS[depth] * self._distance, counts)
            cosine = ahead / np.sqrt(ahead * ahead + beside.take(line))
            # Half the chord between unit vectors is exact for small angles in single precision; the cosine is not.
            half = np.sqrt(np.maximum(0.5 - 0.5 * cosine, 0.0).astype(np.float32))
            worth = np.arcsin(np.minimum(half, np.float32(1.0), out=half), out=half)
            worth *= np.float32(-2.0 / ANGLE_FALLOFF)
            worth -= near.take(row)
            ratings.ravel()[first.take(row) + np.repeat(column[ray] + depth, counts)] = np.exp(worth, out=worth)
        return Looks(rows, ratings, offsets)

    def overlaps(self, queries: np.ndarray, candidates: Candidates) -> np.ndarray:
        """Return the share of sample points that each candidate sees, less for cameras farther away: [N].

        Args:
            queries: [B, q, 4, 4] coming poses.
            candidates: cameras that may look.
        """
        sight, offsets = self._see(queries, candidates, OVERLAP_DEPTHS * self._distance, np.float32)
        count = sight.seen.sum(axis=(0, 1, 2), dtype=np.int16).astype(np.float32)
        offset = offsets / np.float32(OVERLAP_FALLOFF * self._distance)
        share: np.ndarray = count / np.float32(np.prod(sight.seen.shape[:3])) * np.exp(-offset)
        return share

    def closeness(self, offsets: np.ndarray) -> np.ndarray:
        """Return what candidates at these offsets are worth for their nearness alone."""
        worth: np.ndarray = np.float32(CLOSENESS_SHARE) * np.exp(-offsets / np.float32(OFFSET_FALLOFF * self._distance))
        return worth

    def _see(
        self, queries: np.ndarray, candidates: Candidates, depths: np.ndarray, precision: type[np.floating]
    ) -> tuple[_Sight, np.ndarray]:
        """Tell which sample points the candidates see, and how far they are from the first coming camera."""
        axes = queries[..., :3, :3].transpose(3, 2, 1, 0)  # [3, components, q, B]
        rays = _dot(axes[:, :, None], self._directions[:, None, :, None, None])
        cameras = candidates.poses[:, :3].transpose(1, 2, 0).copy()  # [3, 4, N]
        away = queries[..., :3, 3].transpose(2, 1, 0).take(candidates.episodes, axis=2) - cameras[:, 3, None]
        used = [0, 1, 2]
        if _is_level(away, rays, cameras):
            used = [0, 2]  # zeros only are left out, and no point is too high or too low
        away = away[used]
        squares = _dot(away, away)
        rays = rays[used].astype(precision, copy=False).take(candidates.episodes, axis=3)
        along = _dot(rays, away[:, None].astype(precision, copy=False))
        # Single precision suffices to tell inside from outside: coordinates are small.
        right, down, ahead = cameras[used, :3].astype(np.float32).swapaxes(0, 1)
        near, beams = away.astype(np.float32), rays.astype(np.float32, copy=False)
        wide, high = np.float32(self._slopes[0]) * ahead, np.float32(self._slopes[1]) * ahead
        sides = [wide - right, wide + right, high - down, high + down][: 2 * len(used) - 2]
        slopes = [(_dot(side[:, None], near), _dot(side[:, None, None], beams)) for side in sides]
        reach, double = squares.astype(np.float32), 2.0 * along.astype(np.float32, copy=False)
        seen = np.empty((len(depths), *along.shape), dtype=bool)
        far = depths.astype(np.float32)[:, None, None, None]
        limit = np.float32(self._distance**2) - far * far
        for part in _parts(len(depths), along.size):
            value = double * far[part]
            value += reach
            np.less(value, limit[part], out=seen[part])
            for at_camera, along_ray in slopes:
                np.multiply(along_ray, far[part], out=value)
                value += at_camera
                seen[part] &= value > 0.0
        return _Sight(seen, along, squares), np.sqrt(squares[0]).astype(np.float32)


def choose_views(
    looks: Looks, closeness: np.ndarray, candidates: Candidates, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Choose candidates one after another, each the candidate that improves the best looks most.

    What a candidate adds never grows, so what it added earlier is a bound; of many episodes, only candidates whose
    bound reaches what the first by their bounds adds now are looked at again.

    Args:
        looks: of the candidates, see `LookSampler.looks`.
        closeness: float32 [N], see `LookSampler.closeness`.
        candidates: the cameras.
        count: most candidates to choose.

    Returns:
        columns [B, count] in the order of choice, -1 where no candidate is left, and the best looks [B, p].
    """
    batch, ratings = len(candidates.counts), looks.ratings
    owners, columns = candidates.episodes[looks.rows], candidates.columns[looks.rows]
    near = closeness[looks.rows]
    bounds = candidates.table(closeness, _MISSING)  # [B, m]
    places = owners * bounds.shape[1] + columns
    numbers = np.full(bounds.size, -1)  # of each candidate's looks
    numbers[places] = np.arange(len(owners))
    best = np.zeros((batch, ratings.shape[1]), dtype=np.float32)
    flat, starts = bounds.ravel(), np.arange(batch) * bounds.shape[1]
    picks, exist = np.zeros((count, batch), dtype=int), np.zeros((count, batch), dtype=bool)

    def look_again(rows: np.ndarray) -> None:
        better = ratings[rows]
        better -= best[owners[rows]]
        gain = np.add.reduce(np.maximum(better, 0.0, out=better), axis=1)
        flat[places[rows]] = gain / np.float32(better.shape[1]) + near[rows]

    flat[places] = ratings.mean(axis=1) + near
    for turn in range(min(count, bounds.shape[1])):
        if turn:
            bound = flat[places]
            again = bound > 0
            if batch > FEW_EPISODES:
                first = bounds.argmax(axis=1) + starts
                look_again(numbers[first][(numbers[first] >= 0) & (flat[first] > 0)])
                again &= flat[places] >= flat[first][owners]
            look_again(again.nonzero()[0])
        pick = bounds.argmax(axis=1) + starts  # ties go to the first
        picks[turn], exist[turn] = pick, flat[pick] > 0
        flat[pick] = _MISSING
        number = numbers[pick]
        looking = (number >= 0).nonzero()[0]
        number = number[looking]
        best[looking] = np.maximum(best[looking], ratings[number])
    return np.where(exist, picks - starts, -1).T, best


def _parts(depths: int, size: int) -> list[slice]:
    """Cut depths into parts that are computed at a time, by the numbers of one depth."""
    return [slice(0, depths)] if size < _CACHED else [slice(each, each + 1) for each in range(depths)]


def _is_level(away: np.ndarray, rays: np.ndarray, cameras: np.ndarray) -> bool:
    """Tell whether all cameras [3, 4, N] are level, and at the height of the coming ones, which are level too."""
    zeros = (away[1], rays[1], cameras[1, [0, 2]], cameras[[0, 2], 1])
    return not any(each.any() for each in zeros)


def _dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Multiply vectors [components, ...]; zeros change nothing."""
    product: np.ndarray = first[0] * second[0]
    for one, other in zip(first[1:], second[1:], strict=True):
        product += one * other
    return product
