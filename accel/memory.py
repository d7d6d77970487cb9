"""Which old latents come back into the context: candidate groups and the policies that choose among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from li_env.accel.history import PoseTrack
from li_env.accel.views import ViewOverlap
from li_env.accel.world import WorldSpec

MAX_CANDIDATES = 32
"""Groups whose view overlap is computed per chunk (or twice as many as are retrieved); see `nearest_groups`."""

MAX_SEARCHED = 1024
"""Groups (or latents) among which `nearest_groups` and the planner search: the most recent ones."""

MAX_QUERIES = 4
"""Poses of the coming chunk that are compared; evenly spaced if it has more."""


@dataclass(frozen=True)
class MemoryRequest:
    """One world's question: the ``track`` so far and ``next_poses`` [n, 4, 4], the poses to come.

    Only latents before index ``before``, where the recent window begins, may be retrieved.
    """

    track: PoseTrack
    next_poses: np.ndarray
    before: int


@dataclass(frozen=True)
class MemoryChoice:
    """Latent indices to retrieve (increasing) and the best similarity among the candidates (0 without any)."""

    memory: tuple[int, ...]
    similarity: float


class MemoryPolicy(Protocol):
    """Chooses old latents for a batch of worlds."""

    def choose(self, requests: Sequence[MemoryRequest]) -> list[MemoryChoice]:
        """One choice per request: at most ``context_latents - temporal_latents`` latents, all before the window."""
        ...


class NearestView:
    """The plain model's rule (specs/hy_worldplay.md 5.3): the start of the episode and the most similar groups.

    Groups are aligned to multiples of ``spec.memory_group``. If the memory holds two groups or more, the first of them
    is always the start of the episode. The others are those with the highest similarity: the mean view overlap of the
    coming poses with the first and the middle frame of the group; of equals, the older one. Only whole groups before
    the recent window count. The reported similarity is the best of all candidates, the start of the episode included.
    """

    def __init__(self, spec: WorldSpec, view_overlap: ViewOverlap) -> None:
        self._spec, self._view_overlap = spec, view_overlap
        self._groups = (spec.context_latents - spec.temporal_latents) // spec.memory_group
        self._keeps_start = self._groups >= 2

    def choose(self, requests: Sequence[MemoryRequest]) -> list[MemoryChoice]:
        """See `MemoryPolicy.choose`."""
        size = self._spec.memory_group
        count = max(MAX_CANDIDATES, 2 * self._groups)
        candidates = [nearest_groups(request, size, self._spec.view_distance, count) for request in requests]
        similarities = self._similarities(requests, candidates)
        choices = []
        for request, groups, similarity in zip(requests, candidates, similarities, strict=True):
            ranked = [int(group) for group in groups[np.argsort(-similarity, kind="stable")]]
            if self._keeps_start and request.before >= size:
                ranked = [0, *(group for group in ranked if group != 0)]
            memory = tuple(group * size + offset for group in sorted(ranked[: self._groups]) for offset in range(size))
            choices.append(MemoryChoice(memory, float(similarity.max(initial=0.0))))
        return choices

    def _similarities(self, requests: Sequence[MemoryRequest], candidates: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Similarity of each candidate group, one array per request; worlds with equally many share one computation."""
        size = self._spec.memory_group
        looked_at = np.array(sorted({0, size // 2}))
        results: list[np.ndarray] = [np.zeros(0)] * len(requests)
        kinds: dict[tuple[int, int], list[int]] = {}
        for index, groups in enumerate(candidates):
            if len(groups):
                kinds.setdefault((len(groups), len(_queries(requests[index].next_poses))), []).append(index)
        for (count, _), members in kinds.items():
            current = np.stack([_queries(requests[index].next_poses) for index in members])
            frames = [(candidates[index][:, None] * size + looked_at).reshape(-1) for index in members]
            poses = np.stack([requests[index].track.poses[rows] for index, rows in zip(members, frames, strict=True)])
            overlap = self._view_overlap.overlap(current, poses).mean(axis=-2)  # [worlds, groups * frames]
            # Sums of equal shares in another order must stay equal, or ties would not go to the older group.
            similarity = overlap.reshape(len(members), count, len(looked_at)).mean(axis=-1).round(9)
            for index, row in zip(members, similarity, strict=True):
                results[index] = row
        return results


def nearest_groups(request: MemoryRequest, size: int, view_distance: float, count: int = MAX_CANDIDATES) -> np.ndarray:
    """Indices (increasing) of the groups that are worth comparing: at most ``count``.

    Of the groups of ``size`` latents that lie wholly before ``request.before`` (the latest `MAX_SEARCHED` of them),
    those whose centre of view, half the view distance in front of the camera, is nearest to the centre of view
    of a coming pose. Near centres mean near positions and like directions, so this keeps what overlaps most at the
    price of one subtraction per group.
    """
    groups = np.arange(max(0, request.before // size - MAX_SEARCHED), request.before // size)
    if len(groups) <= count:
        return groups
    middle = request.track.poses[groups[0] * size + size // 2 : groups[-1] * size + size : size]
    away = view_centres(_queries(request.next_poses), view_distance)[:, None] - view_centres(middle, view_distance)
    distance = np.einsum("qgi,qgi->qg", away, away).min(axis=0).round(9)  # rounded: of equal places the oldest first
    return groups[np.sort(np.argsort(distance, kind="stable")[:count])]


def view_centres(poses: np.ndarray, view_distance: float) -> np.ndarray:
    """Points [..., 3] half the view distance in front of cameras [..., 4, 4]."""
    return poses[..., :3, 3] + 0.5 * view_distance * poses[..., :3, 2]


def _queries(next_poses: np.ndarray) -> np.ndarray:
    if len(next_poses) <= MAX_QUERIES:
        return next_poses
    return next_poses[np.linspace(0, len(next_poses) - 1, MAX_QUERIES).round().astype(int)]


MEMORY_POLICIES: dict[str, Callable[[WorldSpec, ViewOverlap], MemoryPolicy]] = {"nearest_view": NearestView}
"""Policies by the name that `AccelConfig.memory` uses."""
