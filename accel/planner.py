"""Decisions about the next chunk of each world: which latents form its context, how many steps, which attention.

Pure: the same histories and poses give the same plans. Poses only, no tensors. The cost of a plan does not grow with
the episode, see `li_env.accel.memory`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from li_env.accel.camera import CameraMotion, inverse, move
from li_env.accel.config import AccelConfig
from li_env.accel.history import History, PoseTrack
from li_env.accel.memory import MAX_SEARCHED, MEMORY_POLICIES, MemoryChoice, MemoryRequest, view_centres
from li_env.accel.plan import AttentionPlan, ChunkPlan, Regime
from li_env.accel.views import FrustumSampler, ViewOverlap
from li_env.accel.world import WorldSpec

_SURROUNDINGS = 4
"""Latents of the recent past, and as many retrieved ones at most, that show a world the place around the camera."""


class Planner:
    """Plans chunks for one kind of world.

    Args:
        spec: the world's constants.
        config: the acceleration settings.
        view_overlap: measure of view similarity; by default the frustum given by ``spec.fov`` and ``view_distance``.

    Raises:
        ValueError: the budgets in ``spec`` contradict each other.
    """

    def __init__(self, spec: WorldSpec, config: AccelConfig, view_overlap: ViewOverlap | None = None) -> None:
        if not 1 <= spec.temporal_latents <= spec.context_latents:
            raise ValueError(
                f"temporal_latents: {spec.temporal_latents} is not allowed; "
                f"use 1 to context_latents = {spec.context_latents}"
            )
        if spec.memory_group < 1:
            raise ValueError(f"memory_group: {spec.memory_group} is not allowed; use a whole number from 1 up")
        self.spec, self.config = spec, config
        overlap = FrustumSampler(spec.fov, spec.view_distance) if view_overlap is None else view_overlap
        self._memory = MEMORY_POLICIES[config.memory](spec, overlap)

    def plan(self, histories: Sequence[PoseTrack | History], next_poses: Sequence[np.ndarray]) -> list[ChunkPlan]:
        """One plan per world.

        Args:
            histories: what each world has made so far; their lengths may differ.
            next_poses: [n, 4, 4] per world, the poses of the chunk to make.
        """
        tracks = [history.track if isinstance(history, History) else history for history in histories]
        choices = self._memory.choose(
            [
                MemoryRequest(track, poses, before=max(0, len(track) - self.spec.temporal_latents))
                for track, poses in zip(tracks, next_poses, strict=True)
            ]
        )
        return [self._decide(len(track), choice) for track, choice in zip(tracks, choices, strict=True)]

    def surroundings(self, track: PoseTrack, pose: np.ndarray, arrival: np.ndarray) -> tuple[int, ...]:
        """Latents that show where a motion goes: older ones that look that way, then the most recent ones.

        ``pose`` and ``arrival`` [4, 4] are the camera now and where the motion would end. Returns at most eight
        indices, increasing; none at the start of an episode.
        """
        recent = max(0, len(track) - _SURROUNDINGS)
        start = max(0, recent - MAX_SEARCHED)
        right, _, forward = (inverse(pose) @ arrival)[:3, 3]
        # Walking backwards or sideways, what counts is what lies behind or beside the camera. If the motion ends where
        # it began, up to rounding, it is what lies ahead.
        walks = np.hypot(right, forward) > 1e-6 * self.spec.view_distance
        look = move(pose, CameraMotion(yaw=float(np.degrees(np.arctan2(right, forward))))) if walks else pose
        distance = self.spec.view_distance
        away = view_centres(track.poses[start:recent], distance) - view_centres(look, distance)
        near = np.argsort(np.einsum("gi,gi->g", away, away), kind="stable")[:_SURROUNDINGS]
        return (*(int(index) for index in start + np.sort(near)), *range(recent, len(track)))

    def _decide(self, length: int, choice: MemoryChoice) -> ChunkPlan:
        spec = self.spec
        chunk = 0 if length == 0 else 1 + (length - spec.first_chunk_latents) // spec.chunk_latents
        window = max(0, length - spec.temporal_latents)
        everything = length <= spec.context_latents
        memory = tuple(range(window)) if everything else choice.memory
        regime = self._regime(chunk, choice.similarity)
        return ChunkPlan(
            chunk=chunk,
            regime=regime,
            similarity=choice.similarity,
            temporal=tuple(range(window, length)),
            memory=memory,
            sigmas=tuple(spec.sigmas),
            attention=AttentionPlan(),
            reason=self._reason(regime, length, len(memory), everything, choice.similarity),
        )

    def _regime(self, chunk: int, similarity: float) -> Regime:
        if chunk < self.config.warmup_chunks:
            return "warmup"
        return "revisit" if similarity >= self.config.revisit_similarity else "explore"

    def _reason(self, regime: Regime, length: int, memory: int, everything: bool, similarity: float) -> str:
        if length == 0:
            return "The episode starts: there is no history yet."
        if everything:
            what = f"all {length} latents fit into the context"
        else:
            what = f"{memory} old latents join the last {length - max(0, length - self.spec.temporal_latents)}"
        if regime == "warmup":
            return f"One of the first {self.config.warmup_chunks} chunks: {what}."
        relation = "reaches" if regime == "revisit" else "stays below"
        return f"Similarity {similarity:.2f} {relation} {self.config.revisit_similarity:.2f}: {what}."
