"""Which old latents come back into the context: candidate groups and the policies that choose among them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.frustum import ViewOverlap
from li_env.accel.history import PoseTrack
from li_env.accel.planning.window import most_recent_latents
from li_env.accel.world import WorldSpec

MAX_CANDIDATES = 32
"""Groups whose view overlap is computed per chunk (or twice as many as are retrieved); see `nearest_groups`."""

MAX_SEARCHED = 1024
"""Groups (or latents) among which `nearest_groups` and the planner search: the most recent ones."""

_BLOCK = 64
"""Worlds searched together, so that what they need does not grow with their number."""

MAX_QUERIES = 4
"""Poses of the coming chunk that are compared; evenly spaced if it has more."""


@dataclass(frozen=True)
class RetrievalRequest:
    """One world's question: the ``track`` so far and ``next_poses`` [n, 4, 4], the poses to come.

    Only latents before index ``before``, where the recent window begins, may be retrieved.
    """

    track: PoseTrack
    next_poses: np.ndarray
    before: int


@dataclass(frozen=True)
class RetrievalChoice:
    """What a policy found.

    Attributes:
        memory: latent indices to retrieve, increasing.
        similarity: how well the history shows the coming views, in [0, 1]; each policy says how it measures that.
        revisit: whether the coming views count as seen before.
        reason: why, as the beginning of a sentence.
        complete: whether ``memory`` is simply everything before the recent window.
        slots: see `ChunkPlan.slots`.
    """

    memory: tuple[int, ...]
    similarity: float
    revisit: bool
    reason: str
    complete: bool = False
    slots: tuple[tuple[int, int], ...] = ()


class RetrievalPolicy(Protocol):
    """Chooses old latents for a batch of worlds."""

    def choose(self, requests: Sequence[RetrievalRequest]) -> list[RetrievalChoice]:
        """One choice per request: at most `memory_latents` latents, all before the window."""
        ...


def memory_latents(spec: WorldSpec, config: AccelConfig) -> int:
    """Most latents that may be retrieved beside the recent window."""
    if config.memory_groups is None:
        return spec.context_latents - spec.temporal_latents
    return min(config.memory_groups * spec.memory_group, spec.context_latents - most_recent_latents(spec, config))


def threshold(value: float | None, spec: WorldSpec) -> float:
    """A threshold of the settings; None stands for the world's own."""
    return spec.view_threshold if value is None else value


class NearestView:
    """The plain model's rule: the start of the episode and the most similar groups.

    Groups are aligned to multiples of ``spec.memory_group``. If the memory holds two groups or more, the first of them
    is always the start of the episode. The others are those with the highest similarity: the mean view overlap of the
    coming poses with the first and the middle frame of the group; of equals, the older one. Only whole groups before
    the recent window count. The reported similarity is the best of all candidates, the start of the episode included.
    As long as everything fits, everything is kept.

    Source: docs/spec/hy_worldplay.md, section 5.3.
    """

    def __init__(self, spec: WorldSpec, view_overlap: ViewOverlap, config: AccelConfig | None = None) -> None:
        self._spec, self._view_overlap, self._config = spec, view_overlap, config or AccelConfig()
        self._limit = threshold(self._config.revisit_similarity, spec)
        self._gate = threshold(self._config.memory_threshold, spec)
        self._latents = memory_latents(spec, self._config)
        self._groups = self._latents // spec.memory_group
        self._keeps_start = self._groups >= 2

    def choose(self, requests: Sequence[RetrievalRequest]) -> list[RetrievalChoice]:
        """See `RetrievalPolicy.choose`."""
        candidates = self._candidates(requests)
        similarities = self._similarities(requests, candidates)
        return [self._choice(*each) for each in zip(requests, candidates, similarities, strict=True)]

    def _candidates(self, requests: Sequence[RetrievalRequest]) -> list[np.ndarray]:
        count = max(MAX_CANDIDATES, 2 * self._groups)
        return nearest_groups_of(requests, self._spec.memory_group, self._spec.view_distance, count)

    def _choice(self, request: RetrievalRequest, groups: np.ndarray, similarity: np.ndarray) -> RetrievalChoice:
        best = float(similarity.max(initial=0.0))
        limit = self._limit
        reason = f"Similarity {best:.2f} {'reaches' if best >= limit else 'stays below'} {limit:.2f}"
        if request.before <= self._latents:
            return RetrievalChoice(tuple(range(request.before)), best, best >= limit, reason, complete=True)
        ranked = groups[np.argsort(-similarity, kind="stable")[: self._groups + 1]].tolist()
        if self._keeps_start and request.before >= self._spec.memory_group:
            ranked = [0, *(group for group in ranked if group != 0)]
        return RetrievalChoice(self._latents_of(ranked[: self._groups]), best, best >= limit, reason)

    def _latents_of(self, groups: Iterable[int]) -> tuple[int, ...]:
        size = self._spec.memory_group
        return tuple(group * size + offset for group in sorted(groups) for offset in range(size))

    def _similarities(self, requests: Sequence[RetrievalRequest], candidates: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Similarity of each candidate group, one array per request; worlds with equally many share one computation."""
        size = self._spec.memory_group
        looked_at = np.array(sorted({0, size // 2}))
        results: list[np.ndarray] = [np.zeros(0)] * len(requests)
        kinds: dict[tuple[int, int], list[int]] = {}
        for index, groups in enumerate(candidates):
            if len(groups):
                kinds.setdefault((len(groups), len(queries_of(requests[index].next_poses))), []).append(index)
        for (count, _), members in kinds.items():
            current = np.stack([queries_of(requests[index].next_poses) for index in members])
            frames = [(candidates[index][:, None] * size + looked_at).reshape(-1) for index in members]
            poses = np.stack([requests[index].track.poses[rows] for index, rows in zip(members, frames, strict=True)])
            overlap = self._view_overlap.overlap(current, poses).mean(axis=-2)  # [worlds, groups * frames]
            # Sums of equal shares in another order must stay equal, or ties would not go to the older group.
            similarity = overlap.reshape(len(members), count, len(looked_at)).mean(axis=-1).round(9)
            for index, row in zip(members, similarity, strict=True):
                results[index] = row
        return results


class FovGate(NearestView):
    """The release's rule: retrieved groups come back only if one is similar enough.

    Groups are ranked as by `NearestView`. The start of the episode is always kept and is no candidate. If the best
    candidate stays below ``memory_threshold``, no other group joins. While the history is shorter than the budget,
    everything is kept and nothing compared: the similarity is 0. The group just before the recent window is a
    candidate, so that walking ahead counts as coming back; `coverage` does better.

    Source: docs/spec/hy_worldplay.md, section 9.2.
    """

    def _candidates(self, requests: Sequence[RetrievalRequest]) -> list[np.ndarray]:
        asked = [request for request in requests if request.before >= self._latents]
        found = iter(super()._candidates(asked))
        candidates = [np.zeros(0, dtype=int) if each.before < self._latents else next(found) for each in requests]
        return [groups[groups != 0] for groups in candidates] if self._keeps_start else candidates

    def _choice(self, request: RetrievalRequest, groups: np.ndarray, similarity: np.ndarray) -> RetrievalChoice:
        if request.before < self._latents:
            what = "The history is shorter than the context"
            return RetrievalChoice(tuple(range(request.before)), 0.0, False, what, complete=True)
        choice = super()._choice(request, groups, similarity)
        if choice.similarity >= self._gate:
            return replace(choice, complete=False)
        start = [0] if self._keeps_start and request.before >= self._spec.memory_group else []
        return replace(choice, memory=self._latents_of(start), complete=False)


def nearest_groups(
    request: RetrievalRequest, size: int, view_distance: float, count: int = MAX_CANDIDATES
) -> np.ndarray:
    """Indices (increasing) of the groups that are worth comparing: at most ``count``.

    Of the groups of ``size`` latents that lie wholly before ``request.before`` (the latest `MAX_SEARCHED` of them),
    those whose centre of view, half the view distance in front of the camera, is nearest to the centre of view
    of a coming pose. Near centres mean near positions and like directions, so this keeps what overlaps most at the
    price of one subtraction per group.
    """
    return nearest_groups_of([request], size, view_distance, count)[0]


def nearest_groups_of(
    requests: Sequence[RetrievalRequest], size: int, view_distance: float, count: int = MAX_CANDIDATES
) -> list[np.ndarray]:
    """`nearest_groups` for many worlds."""
    found, kinds = [], dict[int, list[int]]()
    for index, request in enumerate(requests):
        end = request.before // size
        found.append(np.arange(max(0, end - MAX_SEARCHED), end))
        if len(found[-1]) > count:
            kinds.setdefault(len(request.next_poses), []).append(index)
    for members in kinds.values():
        for start in range(0, len(members), _BLOCK):
            block = members[start : start + _BLOCK]
            near = _nearest([requests[i] for i in block], [found[i] for i in block], size, view_distance, count)
            for index, columns in zip(block, near, strict=True):
                found[index] = found[index][columns]
    return found


def _nearest(
    requests: Sequence[RetrievalRequest], groups: Sequence[np.ndarray], size: int, view_distance: float, count: int
) -> np.ndarray:
    """Columns [w, ``count``] of each world's ``groups``, increasing; every world has more than ``count``."""
    views = np.full((len(requests), max(map(len, groups)), 3, 2), np.inf)  # direction, position
    for row, (request, own) in enumerate(zip(requests, groups, strict=True)):
        middle = slice(own[0] * size + size // 2, own[-1] * size + size, size)
        views[row, : len(own)] = request.track.poses[middle, :3, 2:]
    wanted = view_centres(np.stack([queries_of(request.next_poses) for request in requests]), view_distance)
    away = wanted[:, :, None] - (views[..., 1] + 0.5 * view_distance * views[..., 0])[:, None]
    # Rounded: of equal places the oldest first.
    distance = np.einsum("wqgi,wqgi->wqg", away, away).min(axis=1).round(9)
    return np.sort(np.argsort(distance, axis=1, kind="stable")[:, :count], axis=1)


def view_centres(poses: np.ndarray, view_distance: float) -> np.ndarray:
    """Points [..., 3] half the view distance in front of cameras [..., 4, 4]."""
    return poses[..., :3, 3] + 0.5 * view_distance * poses[..., :3, 2]


def queries_of(next_poses: np.ndarray) -> np.ndarray:
    """At most `MAX_QUERIES` of the poses [n, 4, 4], evenly spaced."""
    if len(next_poses) <= MAX_QUERIES:
        return next_poses
    return next_poses[np.linspace(0, len(next_poses) - 1, MAX_QUERIES).round().astype(int)]
