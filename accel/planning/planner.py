"""Decisions about the next chunk of each world: which latents form its context, how many steps, which attention.

Pure: the same histories and poses give the same plans. Poses only, no tensors. The cost of a plan does not grow with
the episode, see `li_env.accel.retrieval.base`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import follow_many, inverse
from li_env.accel.geometry.frustum import FrustumSampler, ViewOverlap
from li_env.accel.history import History, PoseTrack
from li_env.accel.plan import ChunkPlan, Regime
from li_env.accel.planning.denoising import ATTENTION_POLICIES, DENOISING_POLICIES
from li_env.accel.planning.window import TEMPORAL_POLICIES
from li_env.accel.retrieval.base import (
    MAX_SEARCHED,
    FovGate,
    NearestView,
    RetrievalChoice,
    RetrievalPolicy,
    RetrievalRequest,
    view_centres,
)
from li_env.accel.retrieval.coverage import Coverage
from li_env.accel.retrieval.slots import GatedSlots, ViewSlots
from li_env.accel.world import WorldSpec

MEMORY_POLICIES: dict[str, Callable[[WorldSpec, ViewOverlap, AccelConfig], RetrievalPolicy]] = {
    "nearest_view": lambda spec, overlap, config: PLAIN_RULES[spec.memory_rule](spec, overlap, config),
    "fov_gate": lambda spec, overlap, config: GATED_RULES[spec.memory_rule](spec, overlap, config),
    "coverage": lambda spec, overlap, config: Coverage(spec, config),  # it needs to know points, not shares
}
"""Policies by the name that `AccelConfig.memory` uses."""

PLAIN_RULES: dict[str, type[NearestView] | type[ViewSlots]] = {"groups": NearestView, "slots": ViewSlots}
GATED_RULES: dict[str, type[NearestView] | type[ViewSlots]] = {"groups": FovGate, "slots": GatedSlots}
"""The model's own rule and the release's gate on it, by `WorldSpec.memory_rule`."""

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
        self._plain = PLAIN_RULES[spec.memory_rule](spec, overlap)
        self._window = TEMPORAL_POLICIES[config.window](spec, config)
        self._memory = MEMORY_POLICIES[config.memory](spec, overlap, config)
        own = config.revisit == "memory" or config.memory == config.revisit
        self._revisit = None if own else Coverage(spec, config)
        self._denoising = DENOISING_POLICIES[config.denoising](spec)
        self._attention = ATTENTION_POLICIES[config.attention](spec, config)

    def plan(self, histories: Sequence[PoseTrack | History], next_poses: Sequence[np.ndarray]) -> list[ChunkPlan]:
        """One plan per world.

        Args:
            histories: what each world has made so far; their lengths may differ. Without latents (a `PoseTrack`) their
                change is unknown.
            next_poses: [n, 4, 4] per world, the poses of the chunk to make.
        """
        plans: dict[int, ChunkPlan] = {}
        later: list[int] = []
        requests: list[RetrievalRequest] = []
        dynamics: list[float | None] = []
        for index, (history, poses) in enumerate(zip(histories, next_poses, strict=True)):
            track, change = (history.track, history.dynamics) if isinstance(history, History) else (history, None)
            warm = self._chunk(len(track)) < self.config.warmup_chunks
            window = self.spec.temporal_latents if warm else self._window.latents(change)
            requests.append(RetrievalRequest(track, poses, before=max(0, len(track) - window)))
            dynamics.append(change)
            if not warm:
                later.append(index)
        # The first chunks are computed in full, whatever the settings say.
        warm_up = sorted(set(range(len(requests))) - set(later))
        for index, choice in zip(warm_up, self._plain.choose([requests[i] for i in warm_up]), strict=True):
            plans[index] = self._decide(requests[index], choice, None, warm=True)
        for index, choice in zip(later, self._choose([requests[i] for i in later]), strict=True):
            plans[index] = self._decide(requests[index], choice, dynamics[index], warm=False)
        return [plans[index] for index in range(len(requests))]

    def surroundings(self, track: PoseTrack, pose: np.ndarray, arrival: np.ndarray) -> tuple[int, ...]:
        """Latents that show where a motion goes: older ones that look that way, then the most recent ones.

        ``pose`` and ``arrival`` [4, 4] are the camera now and where the motion would end. Returns at most eight
        indices, increasing; none at the start of an episode.
        """
        return self.surroundings_of([track], pose[None], arrival[None])[0]

    def surroundings_of(
        self, tracks: Sequence[PoseTrack], poses: np.ndarray, arrivals: np.ndarray
    ) -> list[tuple[int, ...]]:
        """`surroundings` for w worlds at once: ``poses`` and ``arrivals`` [w, 4, 4]."""
        lengths = [len(track) for track in tracks]
        ends = [max(0, length - _SURROUNDINGS) for length in lengths]
        starts = [max(0, end - MAX_SEARCHED) for end in ends]
        near = self._nearest(tracks, starts, ends, poses, arrivals)
        return [(*row, *range(end, length)) for row, end, length in zip(near, ends, lengths, strict=True)]

    def _nearest(
        self,
        tracks: Sequence[PoseTrack],
        starts: Sequence[int],
        ends: Sequence[int],
        poses: np.ndarray,
        arrivals: np.ndarray,
    ) -> list[list[int]]:
        """The `_SURROUNDINGS` latents of each track between start and end that look nearest to where it goes."""
        few = [list(range(start, end)) for start, end in zip(starts, ends, strict=True)]
        many = [index for index, row in enumerate(few) if len(row) > _SURROUNDINGS]
        if not many:
            return few
        distance = self.spec.view_distance
        shift = (inverse(poses[many]) @ arrivals[many])[:, :3, 3]
        # Walking backwards or sideways, what counts is what lies behind or beside the camera. If the motion ends where
        # it began, up to rounding, it is what lies ahead.
        walks = np.hypot(shift[:, 0], shift[:, 2]) > 1e-6 * distance
        turn = np.zeros((len(many), 1, 4))
        turn[walks, 0, 0] = np.degrees(np.arctan2(shift[walks, 0], shift[walks, 2]))
        looks = view_centres(follow_many(poses[many], turn)[:, 0], distance)
        views = np.full((len(many), max(len(few[index]) for index in many), 3, 2), np.inf)  # direction, position
        for row, index in enumerate(many):
            views[row, : len(few[index])] = tracks[index].poses[starts[index] : ends[index], :3, 2:]
        away = views[..., 1] + 0.5 * distance * views[..., 0] - looks[:, None]
        squares = np.einsum("wgi,wgi->wg", away, away)
        picks = []
        for _ in range(_SURROUNDINGS):  # of equals the oldest
            picks.append(squares.argmin(axis=1))
            squares[np.arange(len(many)), picks[-1]] = np.inf
        for index, chosen in zip(many, np.sort(np.stack(picks, axis=1), axis=1).tolist(), strict=True):
            few[index] = [starts[index] + offset for offset in chosen]
        return few

    def _choose(self, requests: Sequence[RetrievalRequest]) -> list[RetrievalChoice]:
        choices = self._memory.choose(requests)
        if self._revisit is None:
            return choices
        judged = self._revisit.choose(requests)
        return [
            replace(choice, similarity=other.similarity, revisit=other.revisit, reason=other.reason)
            for choice, other in zip(choices, judged, strict=True)
        ]

    def _decide(
        self, request: RetrievalRequest, choice: RetrievalChoice, dynamics: float | None, warm: bool
    ) -> ChunkPlan:
        length = len(request.track)
        regime: Regime = "warmup" if warm else "revisit" if choice.revisit else "explore"
        temporal = tuple(range(request.before, length))
        sigmas, steps = self._denoising.choose(regime)
        attention, sparse = self._attention.choose(regime, len(temporal) + len(choice.memory))
        window = "" if warm else self._window.reason(dynamics)
        reasons = (self._why(warm, length, len(temporal), choice), window, steps, sparse)
        return ChunkPlan(
            chunk=self._chunk(length),
            regime=regime,
            similarity=choice.similarity,
            temporal=temporal,
            memory=choice.memory,
            sigmas=sigmas,
            attention=attention,
            reason="; ".join(part for part in reasons if part) + ".",
            slots=choice.slots,
        )

    def _chunk(self, length: int) -> int:
        return 0 if length == 0 else 1 + (length - self.spec.first_chunk_latents) // self.spec.chunk_latents

    def _why(self, warm: bool, length: int, recent: int, choice: RetrievalChoice) -> str:
        if length == 0:
            return "The episode starts: there is no history yet"
        if choice.complete:
            what = f"all {length} latents fit into the context"
        else:
            what = f"{len(choice.memory)} old latents join the last {recent}"
        return f"{f'One of the first {self.config.warmup_chunks} chunks' if warm else choice.reason}: {what}"
