"""Retrieval by coverage: old latents that show the parts of the coming views which recent frames do not show.

The release compares the similarity of the best old view with a threshold. When the camera walks ahead, the views just
before the recent window are always similar, so the release mistakes plain walking for a revisit
(docs/spec/hy_worldplay.md, section 9.2). Here, sample points fill the frusta of the coming views. Points that the
recent frames show are crossed out; old frames count only for the remaining points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from li_env.accel.budget import memory_latents, sink_latents, spread_over_group, threshold
from li_env.accel.config import AccelConfig
from li_env.accel.geometry.visibility import VisibilitySampler
from li_env.accel.grouping import equal_groups
from li_env.accel.retrieval.base import MICRO_BATCH, RetrievalChoice, RetrievalRequest, queries_of, view_centres
from li_env.accel.retrieval.candidates import shortlist
from li_env.accel.world_spec import WorldSpec

POINTS = 128
"""Sample points in the coming views together."""

SAME_SIDE = 30.0
"""Largest angle in degrees between two looks at a point that show the same. Views know nothing about walls: a side
corridor that old frames would have seen across the corner is not known."""

MIN_SHARE = 0.01
"""Smallest share of the coming views that counts: a few sample points."""

MAX_RECENT = 12
"""Most frames of the recent window that are looked at; evenly spaced if the window has more."""


@dataclass(frozen=True)
class _Seen:
    """Masks of seen points: by the last chunk and by the older recent frames [B, p], by each group [B, g, p]."""

    newest: np.ndarray
    window: np.ndarray
    groups: np.ndarray


class Coverage:
    """Policy that retrieves the groups that add most to what the recent frames show.

    - *Uncovered*: the share of the coming views that no frame of the recent window shows.
    - *Retrieved groups*: the group that adds most to the covered share, then the next. A group must add at least
      ``memory_threshold`` of the uncovered share, so that slow cameras, for which little is new in any chunk, are
      treated like fast cameras. Near groups go before far groups that show the same, since near groups show more
      detail. No point counts twice. A world may ask for ``fewest_memory_groups``: where too few groups add enough, the
      nearest views fill up. The sink, ``memory_sink`` latents of the episode's first group, is always
      retrieved, and groups count only for what it does not show either.
    - *Similarity*: the share of points new to the last chunk that the rest of the context shows. A chunk is a revisit
      if the similarity reaches ``revisit_similarity``. When the camera walks ahead, new points are new to all frames.

    If nothing is new to the last chunk, the similarity is 0: the last chunk alone shows the coming views.
    """

    def __init__(self, spec: WorldSpec, config: AccelConfig) -> None:
        self._spec = spec
        self._limit = threshold(config.revisit_similarity, spec)
        self._least = threshold(config.memory_threshold, spec)
        self._sink = sink_latents(spec, config)
        self._offsets = {
            False: spread_over_group(spec, config.memory_group_latents),
            True: spread_over_group(spec, None),  # what is seen again has its details in all frames of the group
        }
        """Latents of a group that come, by whether the chunk is a revisit."""
        taken = 1 if self._sink else 0
        self._groups = memory_latents(spec, config) // spec.memory_group - taken
        self._fewest = spec.fewest_memory_groups - taken
        self._sampler = VisibilitySampler(spec.fov, spec.view_distance, POINTS)
        self._looks = np.array(sorted({0, spec.memory_group - 1}))
        """Frames of a group that are looked at: both ends together see what the frames between them see."""

    def choose(self, requests: Sequence[RetrievalRequest]) -> list[RetrievalChoice]:
        nothing = RetrievalChoice((), 0.0, False, "There is no history yet", complete=True)
        choices = [nothing] * len(requests)
        begun = [index for index, request in enumerate(requests) if len(request.track)]
        for members in equal_groups([len(requests[index].next_poses) for index in begun]):
            for start in range(0, len(members), MICRO_BATCH):
                rows = [begun[member] for member in members[start : start + MICRO_BATCH]]
                for row, choice in zip(rows, self._choose_together([requests[i] for i in rows]), strict=True):
                    choices[row] = choice
        return choices

    def _choose_together(self, requests: Sequence[RetrievalRequest]) -> list[RetrievalChoice]:
        queries = np.stack([queries_of(request.next_poses) for request in requests])  # [B, q, 4, 4]
        groups = shortlist(requests, queries, self._spec)  # [B, g]
        seen, closeness = self._look(requests, queries, groups)
        covered = seen.newest | seen.window
        points = covered.shape[1]
        uncovered = points - covered.sum(axis=1)
        least = np.maximum(self._least * uncovered, MIN_SHARE * points)
        closeness = np.where(groups >= 0, closeness, 0.0)
        picks, known = self._pick(seen.groups, closeness, covered, least)
        new = points - seen.newest.sum(axis=1)
        remembered = (known & ~seen.newest).sum(axis=1)
        similarity = np.where(remembered >= MIN_SHARE * points, remembered / np.maximum(new, 1), 0.0)
        added = (known.sum(axis=1) - covered.sum(axis=1)) / points
        rows = (
            np.where(picks >= 0, np.take_along_axis(groups, picks, axis=1), -1).tolist()
            if picks.size
            else [[]] * len(new)
        )
        shares = zip(rows, similarity.tolist(), (1 - uncovered / points).tolist(), added.tolist(), strict=True)
        return [self._choice(request.before, *each) for request, each in zip(requests, shares, strict=True)]

    def _choice(
        self, before: int, groups: list[int], similarity: float, covered: float, added: float
    ) -> RetrievalChoice:
        size = self._spec.memory_group
        groups = [group for group in groups if group >= 0]
        revisit = similarity >= self._limit
        sink = [latent for latent in self._sink if latent < before]
        memory = tuple(
            sorted({*sink, *(group * size + offset for group in groups for offset in self._offsets[revisit])})
        )
        old = f"old ones add {added:.0%}" if groups else "old ones add too little"
        recent = "Recent frames and the sink" if sink else "Recent frames"
        reason = (
            f"{recent} show {covered:.0%} of the coming views and {old}; "
            f"{similarity:.0%} of what is new to the last chunk is known"
        )
        return RetrievalChoice(memory, similarity, revisit, reason)

    def _look(
        self, requests: Sequence[RetrievalRequest], queries: np.ndarray, groups: np.ndarray
    ) -> tuple[_Seen, np.ndarray]:
        """Return which points the recent frames and the groups see, and the closeness of groups, [B, g] in [0.5, 1]."""
        recent, older, old = self._frames(requests, groups)
        rows = np.concatenate([recent, older, old], axis=1)
        poses = np.stack([each.track.poses.take(row, axis=0) for each, row in zip(requests, rows, strict=True)])
        # Single precision suffices once the first coming camera is the origin.
        origin = queries[:, :1, :3, 3]
        poses[..., :3, 3] -= origin
        queries = queries.copy()
        queries[..., :3, 3] -= origin
        points, rays = self._sampler.deal_points(queries)
        seen = self._sampler.sees(poses, points, rays, SAME_SIDE)
        parts = np.split(seen, [recent.shape[1], rows.shape[1] - old.shape[1]], axis=1)
        looks = len(self._looks)
        by_group = parts[2].reshape(*groups.shape, looks, points.shape[1])

        # Distance between the middle coming view and the nearer end of the group.
        distance = self._spec.view_distance
        centres = view_centres(poses[:, rows.shape[1] - old.shape[1] :], distance)
        away = centres - view_centres(queries[:, queries.shape[1] // 2, None], distance)
        nearest = np.sqrt(np.einsum("bfi,bfi->bf", away, away)).reshape(*groups.shape, looks).min(axis=2)
        closeness = 1.0 - 0.5 * np.minimum(1.0, nearest / distance)
        return _Seen(_any(parts[0], 1), _any(parts[1], 1), _any(by_group, 2)), closeness

    def _frames(
        self, requests: Sequence[RetrievalRequest], groups: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the latents of the last chunk, of the window before it and of the groups, each [B, frames].

        Every episode takes the same number of latents, because matrix products of another size would round differently.
        Short windows repeat latents; missing groups repeat the newest latent.
        """
        most = min(self._spec.chunk_latents, MAX_RECENT)
        before = min(max(1, self._spec.temporal_latents - self._spec.chunk_latents), MAX_RECENT)
        lengths = np.array([len(request.track) for request in requests])
        window = lengths - [request.before for request in requests]
        chunk = np.minimum(window, self._spec.chunk_latents)
        newest = lengths[:, None] - 1
        recent = newest - _spread(chunk, most)
        older = newest - np.where(window > chunk, chunk, 0)[:, None] - _spread(window - chunk, before)
        if self._sink:
            older = np.concatenate([older, np.minimum(newest, [self._sink[0], self._sink[-1]])], axis=1)
        old = groups[..., None] * self._spec.memory_group + self._looks
        old = np.where(groups[..., None] >= 0, old, newest[..., None])
        return recent, older, old.reshape(len(groups), groups.shape[1] * len(self._looks))

    def _pick(
        self, groups: np.ndarray, closeness: np.ndarray, covered: np.ndarray, least: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Choose groups greedily: columns [B, picks], -1 for none, and the points then known, bool [B, p]."""
        picks: list[np.ndarray] = []
        rows = np.arange(len(groups))
        for number in range(min(self._groups, groups.shape[1])):
            gain = (groups & ~covered[:, None]).sum(axis=2)
            # Rounded so that ties go to the oldest group.
            worth = np.where(gain >= least[:, None], gain * closeness, 0.0).round(6)
            if number < self._fewest:
                free = closeness.copy()
                for pick in picks:
                    free[rows[pick >= 0], pick[pick >= 0]] = 0.0
                worth = np.where(worth.any(axis=1, keepdims=True), worth, free.round(6))
            best = worth.argmax(axis=1)
            enough = worth[rows, best] > 0
            if not enough.any():
                break
            picks.append(np.where(enough, best, -1))
            covered = covered | (groups[rows, best] & enough[:, None])
        return np.stack(picks, axis=1) if picks else np.empty((len(groups), 0), dtype=int), covered


def _any(masks: np.ndarray, axis: int) -> np.ndarray:
    """Return the union of masks along ``axis``; the union of no masks is empty."""
    union: np.ndarray = np.logical_or.reduce(masks, axis=axis)
    return union


def _spread(sizes: np.ndarray, count: int) -> np.ndarray:
    """Spread ``count`` numbers evenly from 0 to below ``sizes`` [B]: [B, count]; small sizes repeat numbers."""
    steps = np.linspace(0.0, 1.0, count) if count > 1 else np.zeros(count)
    return np.rint(steps * np.maximum(sizes[:, None] - 1, 0)).astype(int)
