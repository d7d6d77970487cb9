"""Retrieval by memory slots: each slot takes the old latent that shows most of one coming view.

Source: the plain rule of Matrix-Game-3.0 and the release's gate on it (docs/spec/matrix_game_3.md, sections 5 and
12.1), with one difference. The original scores views by points on the border of the frustum. A view seen before then
scores 0.6 to 0.9 at random, and the decision can flip with the precision of the arithmetic. Points inside the frustum
and a tolerance for rounding (`FrustumSampler`) give 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from li_env.accel.budget import threshold
from li_env.accel.config import AccelConfig
from li_env.accel.geometry.frustum import ViewOverlap
from li_env.accel.retrieval.base import RetrievalChoice, RetrievalRequest
from li_env.accel.retrieval.candidates import nearest_groups
from li_env.accel.world_spec import WorldSpec

VIEW_STEP = 2
"""Coming latents between the views of two slots, counted back from the last one."""

FIRST_MADE = 1
"""Latent that always fills the last slot: the first latent after the start image."""


class ViewSlots:
    """Policy that retrieves one latent per slot; a latent may fill several slots.

    The slots are the whole context beside the recent window. Latent `FIRST_MADE` always fills the last slot. Latent 0,
    the start image, is no candidate. The similarity is that of the worst slot; the last slot counts with the best
    candidate for its view.
    """

    def __init__(self, spec: WorldSpec, view_overlap: ViewOverlap, config: AccelConfig | None = None) -> None:
        config = config or AccelConfig()
        self._spec, self._view_overlap = spec, view_overlap
        self._slots = spec.context_latents - spec.temporal_latents
        self._revisit = threshold(config.revisit_similarity, spec)
        self._gate = threshold(config.memory_threshold, spec)

    def choose(self, requests: Sequence[RetrievalRequest]) -> list[RetrievalChoice]:
        return [self._choose(request) for request in requests]

    def _choose(self, request: RetrievalRequest) -> RetrievalChoice:
        candidates = nearest_groups(request, 1, self._spec.view_distance)
        candidates = candidates[candidates >= FIRST_MADE]
        if not len(candidates) or not self._slots:
            return RetrievalChoice((), 0.0, False, "No latent is old enough to be retrieved")
        last = len(request.next_poses) - 1
        views = np.maximum(0, last - VIEW_STEP * np.arange(self._slots))
        overlap = self._view_overlap.overlap(request.next_poses[views], request.track.poses[candidates]).round(9)
        scores = overlap.max(axis=1)
        found = candidates[overlap.argmax(axis=1)]
        found[-1] = FIRST_MADE
        kept = self._kept(scores)
        slots = tuple((int(found[slot]), int(views[slot])) for slot in kept)
        worst = float(scores.min())
        reason = f"Similarity {worst:.2f} {'reaches' if worst >= self._revisit else 'stays below'} {self._revisit:.2f}"
        return RetrievalChoice(
            tuple(sorted({latent for latent, _ in slots})), worst, worst >= self._revisit, reason, slots=slots
        )

    def _kept(self, scores: np.ndarray) -> list[int]:
        return list(range(len(scores)))


class GatedSlots(ViewSlots):
    """Gate of the release: a slot stays empty if its latent is not similar enough; the last slot is always filled."""

    def _kept(self, scores: np.ndarray) -> list[int]:
        last = len(scores) - 1
        return [slot for slot in range(last + 1) if slot == last or scores[slot] >= self._gate]
