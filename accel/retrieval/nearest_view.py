"""Retrieval by the nearest view: the plain model's rule, and the paper's gate on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from li_env.accel.budget import memory_latents, threshold
from li_env.accel.config import AccelConfig
from li_env.accel.geometry.frustum import ViewOverlap
from li_env.accel.grouping import equal_groups
from li_env.accel.retrieval.base import MAX_CANDIDATES, RetrievalChoice, RetrievalRequest, queries_of
from li_env.accel.retrieval.candidates import nearest_groups_of
from li_env.accel.world_spec import WorldSpec


class NearestView:
    """Rule of the plain model: retrieve the start of the episode and the most similar groups.

    Groups begin at multiples of ``spec.memory_group``. If the budget holds two groups or more, the start of the episode
    is always retrieved. The other groups are those with the highest similarity: the mean view overlap of the coming
    poses with the first and the middle frame of the group. Ties go to the older group. Only whole groups before the
    recent window count. The reported similarity is the best of all candidates, the start of the episode included. As
    long as the whole history fits into the budget, the whole history is kept.

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
        """Return the similarity of each candidate group, one array per request."""
        size = self._spec.memory_group
        looked_at = np.array(sorted({0, size // 2}))
        results: list[np.ndarray] = [np.zeros(0)] * len(requests)
        asked = [index for index, groups in enumerate(candidates) if len(groups)]
        batch_keys = [(len(candidates[index]), len(queries_of(requests[index].next_poses))) for index in asked]
        for rows in equal_groups(batch_keys):
            members = [asked[row] for row in rows]
            count = len(candidates[members[0]])
            current = np.stack([queries_of(requests[index].next_poses) for index in members])
            frames = [(candidates[index][:, None] * size + looked_at).reshape(-1) for index in members]
            tracks = [requests[index].track for index in members]
            poses = np.stack([each.poses.take(own, axis=0) for each, own in zip(tracks, frames, strict=True)])
            overlap = self._view_overlap.overlap(current, poses).mean(axis=-2)  # [B, groups * frames]
            # Rounded so that ties go to the older group: equal shares added in another order differ in the last digit.
            similarity = overlap.reshape(len(members), count, len(looked_at)).mean(axis=-1).round(9)
            for index, row in zip(members, similarity, strict=True):
                results[index] = row
        return results


class FovGate(NearestView):
    """Rule of the release: retrieve groups only if the best group is similar enough.

    Groups are ranked as by `NearestView`. The start of the episode is always kept and is no candidate. If the best
    candidate stays below ``memory_threshold``, no other group is retrieved. While the history is shorter than the
    budget, the whole history is kept and nothing is compared: the similarity is 0. The group just before the recent
    window is a candidate, so walking ahead counts as a revisit. `Coverage` avoids this.

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
