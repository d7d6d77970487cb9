"""Retrieval in a scanned place: single views of the scan, and single latents of the episode's own past, by coverage.

Every sample point of the coming views wants the best look at it that any chosen view gives
(`li_env.accel.geometry.looks`). Groups of neighbouring latents would waste the budget: of the views from one spot at
most two help.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from li_env.accel.budget import memory_latents, threshold
from li_env.accel.config import AccelConfig
from li_env.accel.geometry.looks import WELL_SHOWN, LookSampler, choose_views
from li_env.accel.geometry.view_index import FEW, NEAR
from li_env.accel.grouping import equal_groups
from li_env.accel.retrieval.base import MAX_QUERIES, RetrievalChoice, RetrievalRequest
from li_env.accel.retrieval.candidates import nearest_groups_of
from li_env.accel.retrieval.slots import FIRST_MADE
from li_env.accel.view_bank import near_views
from li_env.accel.world_spec import WorldSpec

PAST = 16
"""Most latents of the episode's own past that are compared with the views of the scan."""

TOGETHER = 8
"""Episodes whose looks are computed at a time: their tables stay in the processor's cache."""

PAST_WORTH = 0.5
"""Worth of a look by the episode's own past beside the same look by the scan: the past is generated and drifts, the
scan is real. So the past counts where the scan shows little."""


class Grounded:
    """Policy of episodes with a scan: the views and old latents that together show the coming views best.

    - *Retrieved*: as many as the settings' budget of retrieved latents holds, one after another, each the view that
      improves the looks at the sample points most.
    - *Similarity*: the share of sample points that the chosen views show well: with a look worth 1 / e or more. A chunk
      is a revisit if the similarity reaches ``revisit_similarity``.

    Args:
        spec: the world's constants.
        config: the acceleration settings.
    """

    def __init__(self, spec: WorldSpec, config: AccelConfig) -> None:
        self._spec = spec
        self._limit = threshold(config.revisit_similarity, spec)
        self._count = memory_latents(spec, config)
        self._sampler = LookSampler(spec.focal, spec.view_distance)
        # The start image fills no memory slot.
        self._first = FIRST_MADE if spec.memory_rule == "slots" else 0

    def choose(self, requests: Sequence[RetrievalRequest]) -> list[RetrievalChoice]:
        choices: list[RetrievalChoice] = [RetrievalChoice((), 0.0, False, "")] * len(requests)
        for members in equal_groups([len(request.next_poses) for request in requests]):
            for start in range(0, len(members), TOGETHER):
                rows = members[start : start + TOGETHER]
                for row, choice in zip(rows, self._choose_together([requests[i] for i in rows]), strict=True):
                    choices[row] = choice
        return choices

    def _choose_together(self, requests: Sequence[RetrievalRequest]) -> list[RetrievalChoice]:
        queries = np.stack([queries_among(request.next_poses) for request in requests])
        views, past = self._candidates(requests, queries)
        # The same width for all, because matrix products of another size would round differently.
        scanned = max(FEW, 2 * NEAR)
        poses = np.broadcast_to(np.eye(4), (len(requests), scanned + PAST, 4, 4)).copy()
        exists = np.zeros(poses.shape[:2], dtype=bool)
        for row, request in enumerate(requests):
            assert request.bank is not None
            for first, indices, source in ((0, views[row], request.bank.poses), (scanned, past[row], None)):
                place = slice(first, first + len(indices))
                poses[row, place] = (request.track.poses if source is None else source)[indices]
                exists[row, place] = True
        ratings = self._sampler.looks(queries, poses)
        closeness = self._sampler.closeness(queries, poses)
        ratings[:, scanned:] *= PAST_WORTH
        closeness[:, scanned:] *= PAST_WORTH
        picks, best = choose_views(ratings, closeness, exists, self._count)
        shown = (best >= WELL_SHOWN).mean(axis=1)
        return [
            self._choice(row[row >= 0], scanned, *each)
            for row, *each in zip(picks, views, past, shown.tolist(), strict=True)
        ]

    def _candidates(
        self, requests: Sequence[RetrievalRequest], queries: np.ndarray
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return the views of the scan and the latents of the own past that are compared, of each episode."""
        banks = [request.bank for request in requests if request.bank is not None]
        views = near_views(banks, queries[:, [0, -1]])
        past = nearest_groups_of(requests, 1, self._spec.view_distance, PAST)
        return views, [latents[latents >= self._first] for latents in past]

    def _choice(
        self, picks: np.ndarray, scanned: int, views: np.ndarray, past: np.ndarray, shown: float
    ) -> RetrievalChoice:
        chosen = tuple(views[picks[picks < scanned]].tolist())
        old = tuple(sorted(past[picks[picks >= scanned] - scanned].tolist()))
        reason = f"Views of the scan and old frames show {shown:.0%} of the coming views well"
        return RetrievalChoice(old, shown, shown >= self._limit, reason, views=chosen)


def queries_among(next_poses: np.ndarray) -> np.ndarray:
    """Return the coming poses by which views are chosen: the first and the middle one of up to four, else four."""
    count = len(next_poses)
    if count <= MAX_QUERIES:
        return next_poses[[0, count // 2]] if count > 1 else next_poses
    return next_poses[np.linspace(0, count - 1, MAX_QUERIES).round().astype(int)]
