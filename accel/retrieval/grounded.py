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
from li_env.accel.grouping import equal_groups
from li_env.accel.retrieval.base import MAX_QUERIES, RetrievalChoice, RetrievalRequest, queries_of
from li_env.accel.retrieval.scan_candidates import gather
from li_env.accel.retrieval.slots import FIRST_MADE
from li_env.accel.world_spec import WorldSpec

TOGETHER = 128
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
        coming = np.stack([request.next_poses for request in requests])
        queries = queries_among(coming)
        tracks, befores = [request.track for request in requests], [request.before for request in requests]
        banks = [request.bank for request in requests if request.bank is not None]
        ends = queries[:, [0, -1]]
        found = gather(tracks, befores, banks, coming, ends, self._spec.view_distance, self._first)
        looks = self._sampler.looks(queries, found.candidates)
        worth = np.where(found.real, np.float32(1.0), np.float32(PAST_WORTH))
        looks.ratings[:] *= worth[looks.rows, None]
        closeness = self._sampler.closeness(looks.offsets) * worth
        picks, best = choose_views(looks, closeness, found.candidates, self._count)
        shown = (best >= WELL_SHOWN).mean(axis=1)
        return [self._choice(*each) for each in zip(found.split(picks), shown.tolist(), strict=True)]

    def _choice(self, chosen: tuple[tuple[int, ...], tuple[int, ...]], shown: float) -> RetrievalChoice:
        views, old = chosen
        reason = f"Views of the scan and old frames show {shown:.0%} of the coming views well"
        return RetrievalChoice(tuple(sorted(old)), shown, shown >= self._limit, reason, views=views)


def queries_among(next_poses: np.ndarray) -> np.ndarray:
    """Return the coming poses [B, n, 4, 4] by which views are chosen: the first and the middle of up to 4, else 4."""
    count = next_poses.shape[1]
    return next_poses[:, [0, count // 2]] if 1 < count <= MAX_QUERIES else queries_of(next_poses)
