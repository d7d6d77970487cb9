"""Planner: decides the context, the denoising steps and the attention of the next chunk of each episode.

The planner is pure: the same histories and poses give the same plans. Plans are made from poses, without tensors. The
cost of a plan does not grow with the episode, see `li_env.accel.retrieval.base`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.frustum import FrustumSampler, ViewOverlap
from li_env.accel.history import History
from li_env.accel.plan import ChunkPlan, Regime
from li_env.accel.planning.attention import ATTENTION_POLICIES, AttentionPolicy
from li_env.accel.planning.denoising import DENOISING_POLICIES, DenoisingPolicy
from li_env.accel.planning.parts import LeftOut, without
from li_env.accel.planning.shared_work import check_sharing
from li_env.accel.planning.window import WINDOW_POLICIES, WindowPolicy
from li_env.accel.pose_track import PoseTrack
from li_env.accel.retrieval.base import RetrievalChoice, RetrievalPolicy, RetrievalRequest
from li_env.accel.retrieval.coverage import Coverage
from li_env.accel.retrieval.grounded import Grounded
from li_env.accel.retrieval.nearest_view import FovGate, NearestView
from li_env.accel.retrieval.slots import GatedSlots, ViewSlots
from li_env.accel.view_bank import ViewBank
from li_env.accel.world_spec import WorldSpec

RETRIEVAL_POLICIES: dict[str, Callable[[WorldSpec, ViewOverlap, AccelConfig], RetrievalPolicy]] = {
    "nearest_view": lambda spec, overlap, config: PLAIN_RULES[spec.memory_rule](spec, overlap, config),
    "fov_gate": lambda spec, overlap, config: GATED_RULES[spec.memory_rule](spec, overlap, config),
    "coverage": lambda spec, overlap, config: Coverage(spec, config),  # coverage needs points, not shares
}
"""Policies by the name that `AccelConfig.memory` uses."""

PLAIN_RULES: dict[str, type[NearestView] | type[ViewSlots]] = {"groups": NearestView, "slots": ViewSlots}
GATED_RULES: dict[str, type[NearestView] | type[ViewSlots]] = {"groups": FovGate, "slots": GatedSlots}
"""Rules of the release, which gate the model's own rules `PLAIN_RULES`, by `WorldSpec.memory_rule`."""


@dataclass(frozen=True)
class _Rules:
    """Rules of the chunks after the warm-up; one set for episodes with a scan, one for those without."""

    window: WindowPolicy
    denoising: DenoisingPolicy
    attention: AttentionPolicy
    left_out: str

    @classmethod
    def of(cls, spec: WorldSpec, config: AccelConfig, left_out: str) -> _Rules:
        return cls(
            WINDOW_POLICIES[config.window](spec, config),
            DENOISING_POLICIES[config.denoising](spec),
            ATTENTION_POLICIES[config.attention](spec, config),
            left_out,
        )


class Planner:
    """Planner of chunks for one world and its settings.

    Args:
        spec: the world's constants.
        config: the acceleration settings.
        view_overlap: measure of view similarity; by default the frustum given by ``spec.fov`` and ``view_distance``.
        left_out: parts of the settings that the plain model's decisions replace; none by default.

    Raises:
        ValueError: the budgets in ``spec`` contradict each other.
    """

    def __init__(
        self,
        spec: WorldSpec,
        config: AccelConfig,
        view_overlap: ViewOverlap | None = None,
        left_out: LeftOut | None = None,
    ) -> None:
        if not 1 <= spec.temporal_latents <= spec.context_latents:
            raise ValueError(
                f"temporal_latents: {spec.temporal_latents} is not allowed; "
                f"use 1 to context_latents = {spec.context_latents}"
            )
        if spec.memory_group < 1:
            raise ValueError(f"memory_group: {spec.memory_group} is not allowed; use a whole number from 1 up")
        config = config.in_world(spec.name)
        check_sharing(spec, config)
        self.spec, self.config = spec, config
        overlap = FrustumSampler(spec.fov, spec.view_distance) if view_overlap is None else view_overlap
        self._plain = PLAIN_RULES[spec.memory_rule](spec, overlap)
        parts = LeftOut() if left_out is None else left_out
        kept, scanned = without(config, parts.own), without(config, parts.scanned)
        self._rules = {
            False: _Rules.of(spec, kept, parts.reason(parts.own)),
            True: _Rules.of(spec, scanned, parts.reason(parts.scanned)),
        }  # by whether the episode has a scan
        self._memory = kept.memory
        self._retrieval = RETRIEVAL_POLICIES[kept.memory](spec, overlap, kept)
        own = kept.revisit == "memory" or kept.memory == kept.revisit
        self._revisit = None if own else Coverage(spec, kept)
        self._grounded = {True: Grounded(spec, AccelConfig()), False: Grounded(spec, scanned)}  # by whether warming up
        if config.reuse_threshold is not None and not spec.supports_step_reuse:
            raise ValueError(
                f"reuse_threshold: {config.reuse_threshold} does not fit world {spec.name!r}, whose sampler cannot "
                "reuse a step; allowed: null"
            )

    def plan(
        self,
        histories: Sequence[PoseTrack | History],
        next_poses: Sequence[np.ndarray],
        banks: Sequence[ViewBank | None] | None = None,
    ) -> list[ChunkPlan]:
        """Plan one chunk per episode.

        Args:
            histories: history of each episode; lengths may differ. The latent change of a `PoseTrack` is unknown.
            next_poses: [n, 4, 4] per episode, the poses of the chunk to make.
            banks: views of each episode's scan, None for an episode without a scan; no scans by default.

        Raises:
            ValueError: a policy chose more latents than the context holds.
        """
        plans: dict[int, ChunkPlan] = {}
        later: list[int] = []
        requests: list[RetrievalRequest] = []
        changes: list[float | None] = []
        scans = [None] * len(histories) if banks is None else banks
        for index, (history, poses, bank) in enumerate(zip(histories, next_poses, scans, strict=True)):
            track, change = (history.track, history.latent_change) if isinstance(history, History) else (history, None)
            warm = self._chunk(len(track)) < self.config.warmup_chunks
            rules = self._rules[bank is not None]
            window = self.spec.temporal_latents if warm else rules.window.latents(change)
            requests.append(RetrievalRequest(track, poses, before=max(0, len(track) - window), bank=bank))
            changes.append(change)
            if not warm:
                later.append(index)
        # All settings compute the first chunks in full.
        warmup = sorted(set(range(len(requests))) - set(later))
        for warm, rows in ((True, warmup), (False, later)):
            for index, choice in zip(rows, self._choose([requests[i] for i in rows], warm), strict=True):
                plans[index] = self._decide(requests[index], choice, None if warm else changes[index], warm)
        return [plans[index] for index in range(len(requests))]

    def _choose(self, requests: Sequence[RetrievalRequest], warm: bool) -> list[RetrievalChoice]:
        """Choose for episodes with and without scans, each by its own policy."""
        choices: dict[int, RetrievalChoice] = {}
        own = [index for index, request in enumerate(requests) if request.bank is None]
        scanned = [index for index, request in enumerate(requests) if request.bank is not None]
        plain = self._plain.choose if warm else self._judged
        for rows, choose in ((own, plain), (scanned, self._grounded[warm].choose)):
            choices.update(zip(rows, choose([requests[index] for index in rows]), strict=True))
        return [choices[index] for index in range(len(requests))]

    def _judged(self, requests: Sequence[RetrievalRequest]) -> list[RetrievalChoice]:
        """Choose for episodes without scans after the warm-up, and judge whether the coming views were seen."""
        choices = self._retrieval.choose(requests)
        if self._revisit is None:
            return choices
        judged = self._revisit.choose(requests)
        return [
            replace(choice, similarity=other.similarity, revisit=other.revisit, reason=other.reason)
            for choice, other in zip(choices, judged, strict=True)
        ]

    def _decide(
        self, request: RetrievalRequest, choice: RetrievalChoice, latent_change: float | None, warm: bool
    ) -> ChunkPlan:
        length = len(request.track)
        regime: Regime = "warmup" if warm else "revisit" if choice.revisit else "explore"
        temporal = tuple(range(request.before, length))
        count = len(choice.views) + len(choice.memory) + len(temporal)
        if count > self.spec.context_latents:
            policy = "grounded" if request.bank else "nearest_view" if warm else self._memory
            raise ValueError(
                f"memory: policy {policy!r} chose {count} context latents in all; allowed: at most context_latents = "
                f"{self.spec.context_latents}"
            )
        rules = self._rules[request.bank is not None]
        sigmas, steps = rules.denoising.choose(regime)
        attention, sparse = rules.attention.choose(regime, count)
        window = "" if warm else rules.window.reason(latent_change)
        reuse = None if warm or len(sigmas) <= 3 else self.config.reuse_threshold
        reused = "" if reuse is None else f"a step whose input changes by less than {reuse:.3g} reuses the one before"
        why = self._why(warm, length, len(temporal), choice)
        reasons = (why, window, steps, sparse, reused, "" if warm else rules.left_out)
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
            views=choice.views,
            reuse_threshold=reuse,
        )

    def _chunk(self, length: int) -> int:
        return 0 if length == 0 else 1 + (length - self.spec.first_chunk_latents) // self.spec.chunk_latents

    def _why(self, warm: bool, length: int, recent: int, choice: RetrievalChoice) -> str:
        if length == 0 and not choice.views:
            return "The episode starts: there is no history yet"
        if choice.views:
            what = f"{len(choice.views)} views and {len(choice.memory)} old latents join the last {recent}"
        elif choice.complete:
            what = f"all {length} latents fit into the context"
        else:
            what = f"{len(choice.memory)} old latents join the last {recent}"
        return f"{f'One of the first {self.config.warmup_chunks} chunks' if warm else choice.reason}: {what}"
