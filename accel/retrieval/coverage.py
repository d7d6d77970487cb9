"""Memory by coverage: old latents that show of the coming views what the recent ones do not.

The release asks how similar the best old view is. Walking ahead, the views just before the recent window are always
similar, so that it takes plain walking for coming back (docs/spec/hy_worldplay.md, section 9.2). Here, sample points in
the frusta of the coming views are crossed out if the recent frames show them; old frames count only for what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from li_env.accel.budget import memory_latents, threshold
from li_env.accel.config import AccelConfig
from li_env.accel.geometry.visibility import VisibilitySampler
from li_env.accel.retrieval.base import RetrievalChoice, RetrievalRequest, queries_of, view_centres
from li_env.accel.retrieval.candidates import shortlist
from li_env.accel.world_spec import WorldSpec

POINTS = 128
"""Sample points in the coming views together."""

SAME_SIDE = 30.0
"""Degrees between two looks at a point, up to which one shows what the other does. Views know nothing about walls: a
side corridor that old frames would have seen across the corner is not known."""

MIN_SHARE = 0.01
"""Shares of the coming views below this are taken for nothing: a few sample points."""

MAX_RECENT = 12
"""Frames of the recent window that are looked at; evenly spaced if it has more."""

_BLOCK = 64
"""Worlds computed together, so that what they need does not grow with their number."""


@dataclass(frozen=True)
class _Seen:
    """Points [worlds, points] seen by the last chunk, by the older recent frames, and [worlds, groups, points]."""

    newest: np.ndarray
    window: np.ndarray
    groups: np.ndarray


class Coverage:
    """Retrieves the groups that add most to what the recent frames show.

    - *Uncovered*: the share of the coming views that no frame of the recent window shows.
    - *Memory*: the group that adds most to it, then the next. A group must add at least ``memory_threshold`` of what is
      uncovered, so that slow cameras, for which little is new in any chunk, are treated like fast ones. Near groups go
      before far ones that show the same, since they show it in more detail. No group adds the same thing twice. A
      world may ask for ``fewest_memory_groups``: where too few add enough, the nearest views fill up.
    - *Similarity*: of what the last chunk does not show, the share that the rest of the context shows. A chunk is a
      revisit if that reaches ``revisit_similarity``: walking ahead, what comes into view is new to all frames.

    If nothing is new to the last chunk, the similarity is 0: the recent path alone shows what comes.
    """

    def __init__(self, spec: WorldSpec, config: AccelConfig) -> None:
        self._spec = spec
        self._limit = threshold(config.revisit_similarity, spec)
        self._least = threshold(config.memory_threshold, spec)
        self._groups = memory_latents(spec, config) // spec.memory_group
        self._sampler = VisibilitySampler(spec.fov, spec.view_distance, POINTS)
        self._looks = np.array(sorted({0, spec.memory_group - 1}))
        """Frames of a group that are looked at: its ends see what the frames between them see."""

    def choose(self, requests: Sequence[RetrievalRequest]) -> list[RetrievalChoice]:
        """See `RetrievalPolicy.choose`."""
        nothing = RetrievalChoice((), 0.0, False, "There is no history yet", complete=True)
        choices = [nothing] * len(requests)
        kinds: dict[int, list[int]] = {}
        for index, request in enumerate(requests):
            if len(request.track):
                kinds.setdefault(len(request.next_poses), []).append(index)
        for members in kinds.values():
            for start in range(0, len(members), _BLOCK):
                block = members[start : start + _BLOCK]
                for index, choice in zip(block, self._block([requests[i] for i in block]), strict=True):
                    choices[index] = choice
        return choices

    def _block(self, requests: Sequence[RetrievalRequest]) -> list[RetrievalChoice]:
        queries = np.stack([queries_of(request.next_poses) for request in requests])  # [w, q, 4, 4]
        groups = shortlist(requests, queries, self._spec)  # [w, g]
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
        return [self._choice(*each) for each in shares]

    def _choice(self, groups: list[int], similarity: float, covered: float, added: float) -> RetrievalChoice:
        size = self._spec.memory_group
        groups = sorted(group for group in groups if group >= 0)
        memory = tuple(group * size + offset for group in groups for offset in range(size))
        old = f"old ones add {added:.0%}" if groups else "old ones add too little"
        reason = (
            f"Recent frames show {covered:.0%} of the coming views and {old}; "
            f"{similarity:.0%} of what is new to the last chunk is known"
        )
        return RetrievalChoice(memory, similarity, similarity >= self._limit, reason)

    def _look(
        self, requests: Sequence[RetrievalRequest], queries: np.ndarray, groups: np.ndarray
    ) -> tuple[_Seen, np.ndarray]:
        """Which points the recent frames and the groups see, and how close each group is: [w, g] in [0.5, 1]."""
        recent, older, old = self._frames(requests, groups)
        rows = np.concatenate([recent, older, old], axis=1)
        poses = np.stack([request.track.poses[row] for request, row in zip(requests, rows, strict=True)])
        # Single precision will do once the first coming camera is the origin.
        origin = queries[:, :1, :3, 3]
        poses[..., :3, 3] -= origin
        queries = queries.copy()
        queries[..., :3, 3] -= origin
        points, rays = self._sampler.deal_points(queries)
        seen = self._sampler.sees(poses, points, rays, SAME_SIDE)
        parts = np.split(seen, [recent.shape[1], rows.shape[1] - old.shape[1]], axis=1)
        looks = len(self._looks)
        by_group = parts[2].reshape(*groups.shape, looks, points.shape[1])

        # Of the middle one of the coming views to the nearer end of the group.
        distance = self._spec.view_distance
        centres = view_centres(poses[:, rows.shape[1] - old.shape[1] :], distance)
        away = centres - view_centres(queries[:, queries.shape[1] // 2, None], distance)
        nearest = np.sqrt(np.einsum("wfi,wfi->wf", away, away)).reshape(*groups.shape, looks).min(axis=2)
        closeness = 1.0 - 0.5 * np.minimum(1.0, nearest / distance)
        return _Seen(_any(parts[0], 1), _any(parts[1], 1), _any(by_group, 2)), closeness

    def _frames(
        self, requests: Sequence[RetrievalRequest], groups: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Latents to look at: of the last chunk, of the window before it and of the groups, each [w, frames].

        Every world takes the same number of them, whatever it and the others have: short windows repeat latents,
        missing groups the newest one. Matrix products of another size would round differently.
        """
        most = min(self._spec.chunk_latents, MAX_RECENT)
        before = min(max(1, self._spec.temporal_latents - self._spec.chunk_latents), MAX_RECENT)
        lengths = np.array([len(request.track) for request in requests])
        window = lengths - [request.before for request in requests]
        chunk = np.minimum(window, self._spec.chunk_latents)
        newest = lengths[:, None] - 1
        recent = newest - _spread(chunk, most)
        older = newest - np.where(window > chunk, chunk, 0)[:, None] - _spread(window - chunk, before)
        old = groups[..., None] * self._spec.memory_group + self._looks
        old = np.where(groups[..., None] >= 0, old, newest[..., None])
        return recent, older, old.reshape(len(groups), groups.shape[1] * len(self._looks))

    def _pick(
        self, groups: np.ndarray, closeness: np.ndarray, covered: np.ndarray, least: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Columns of the greedily chosen groups, [w, picks], -1 for none, and all points then known, bool [w, p]."""
        picks: list[np.ndarray] = []
        rows = np.arange(len(groups))
        for number in range(min(self._groups, groups.shape[1])):
            gain = (groups & ~covered[:, None]).sum(axis=2)
            # Rounded, so that of equals the first, the oldest, is taken whatever the rounding of distances.
            worth = np.where(gain >= least[:, None], gain * closeness, 0.0).round(6)
            if number < self._spec.fewest_memory_groups:
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
    """The union of masks along ``axis``; nothing of nothing."""
    union: np.ndarray = np.logical_or.reduce(masks, axis=axis)
    return union


def _spread(sizes: np.ndarray, count: int) -> np.ndarray:
    """Numbers [w, count] from 0 to below ``sizes`` [w], evenly spaced; all of them, some repeated, if they are few."""
    steps = np.linspace(0.0, 1.0, count) if count > 1 else np.zeros(count)
    return np.rint(steps * np.maximum(sizes[:, None] - 1, 0)).astype(int)
