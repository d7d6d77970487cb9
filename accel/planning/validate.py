"""Checks of stored plans: a plan must fit the world and the episode that run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any, get_args

from li_env.accel.kept_work import KeptWork
from li_env.accel.plan import ChunkPlan, Regime, TileScores
from li_env.accel.world_spec import WorldSpec
from li_env.validation import check_mapping, shown


def check_plans(
    plans: Sequence[ChunkPlan],
    spec: WorldSpec,
    episodes: Sequence[tuple[int, int]],
    views: Sequence[int] | None = None,
) -> None:
    """Refuse plans unless plan i fits episode i, given as (index of the coming chunk, number of latents so far).

    Args:
        plans: one per episode.
        spec: the world's constants.
        episodes: one pair per episode.
        views: number of views in the scan of each episode; no scans by default.

    Raises:
        ValueError: names the plan, the key, its value and what is allowed.
    """
    if len(plans) != len(episodes):
        raise ValueError(f"plans: {len(plans)} given for {len(episodes)} states; one per state is needed")
    scanned = [0] * len(plans) if views is None else views
    for index, (plan, (chunk, length), count) in enumerate(zip(plans, episodes, scanned, strict=True)):
        for key, value, allowed in _faults(plan, spec, chunk, length, count):
            raise ValueError(f"plans[{index}].{key}: {shown(value)} is not allowed; use {allowed}")


def _faults(plan: ChunkPlan, spec: WorldSpec, chunk: int, length: int, views: int) -> list[tuple[str, object, str]]:
    """List (key, value, what is allowed) of all values that do not fit."""
    window, attention = len(plan.temporal), plan.attention
    ratios = (attention.decode_ratio, attention.context_ratio)
    least = 1 if length else 0
    checks = (
        (plan.chunk == chunk, "chunk", plan.chunk, f"{chunk}, the chunk to make next"),
        (plan.regime in get_args(Regime), "regime", plan.regime, " or ".join(get_args(Regime))),
        (
            least <= window <= length and plan.temporal == tuple(range(length - window, length)),
            "temporal",
            plan.temporal,
            f"{least} or more consecutive latents that end with the newest of {length}",
        ),
        (
            all(0 <= index < length - window for index in plan.memory)
            and all(first < second for first, second in pairwise(plan.memory)),
            "memory",
            plan.memory,
            f"increasing latents from 0 to below {length - window}",
        ),
        (
            all(0 <= view < views for view in plan.views) and len(set(plan.views)) == len(plan.views),
            "views",
            plan.views,
            f"different views from 0 to {views - 1}" if views else "none, the episode has no scan",
        ),
        (
            plan.context_latents <= spec.context_latents,
            "memory",
            plan.views + plan.memory,
            f"at most {spec.context_latents} context latents in all",
        ),
        (
            len(plan.sigmas) >= 2
            and all(first > second for first, second in pairwise(plan.sigmas))
            and (plan.sigmas[0], plan.sigmas[-1]) == (spec.sigmas[0], 0.0),
            "sigmas",
            plan.sigmas,
            f"decreasing noise levels from {spec.sigmas[0]} to 0",
        ),
        (
            attention.kind in spec.attention_kinds,
            "attention",
            attention.kind,
            " or ".join(spec.attention_kinds) if len(spec.attention_kinds) > 1 else "dense, all that this world can do",
        ),
        (
            not plan.slots
            or (
                {latent for latent, _ in plan.slots} == set(plan.memory)
                and all(0 <= view < spec.latents_in_chunk(chunk) for _, view in plan.slots)
            ),
            "slots",
            plan.slots,
            f"pairs of the memory latents {plan.memory} with coming latents from 0",
        ),
        (
            plan.shares or (not plan.kept and not plan.reuse_blocks and not plan.reused_blocks),
            "shares",
            plan.shares,
            "true in a plan that reuses work",
        ),
        (not plan.shares or spec.supports_shared_work, "shares", plan.shares, "false, all that this world can do"),
        (all(0.0 < ratio <= 1.0 for ratio in ratios), "attention", ratios, "ratios above 0 and at most 1"),
        (
            attention.tile_scores in get_args(TileScores),
            "attention",
            attention.tile_scores,
            " or ".join(get_args(TileScores)),
        ),
        (
            attention.kind != "svg" or attention.band_width > 0.0,
            "attention",
            attention.band_width,
            "a band_width above 0",
        ),
        (
            spec.supports_step_reuse or (plan.reuse_threshold is None and not plan.computed),
            "reuse_threshold",
            plan.reuse_threshold,
            "null: the sampler of this world cannot reuse a step",
        ),
        (
            not plan.computed
            or (len(plan.computed) == plan.steps and plan.computed[0] is True and plan.computed[-1] is True),
            "computed",
            plan.computed,
            f"one flag for each of {plan.steps} steps, true for the first and the last",
        ),
    )
    return [(key, value, allowed) for fits, key, value, allowed in checks if not fits]


def stored_plans(report: Mapping[str, Any]) -> list[ChunkPlan]:
    """Read the plans of a rollout's report, in order, to run them again.

    Raises:
        ValueError: the report has no chunks, or one of them is no plan.
    """
    chunks = check_mapping("report", report).get("chunks")
    if not isinstance(chunks, list):
        raise ValueError(f"chunks: {shown(chunks)} is not allowed; use the list of chunks of a report")
    names = {entry.name for entry in fields(ChunkPlan)}
    plans = []
    for index, chunk in enumerate(chunks):
        check_mapping(f"chunks[{index}]", chunk)
        try:
            plans.append(ChunkPlan.from_dict({key: value for key, value in chunk.items() if key in names}))
        except ValueError as error:
            raise ValueError(f"chunks[{index}]: {error}") from None
    return plans


def check_kept(plans: Sequence[ChunkPlan], kept: Sequence[KeptWork | None]) -> None:
    """Refuse plans that reuse work which the chunk before has not left.

    Args:
        plans: one per episode, already passed by `check_plans`.
        kept: work of the chunk before of each episode.

    Raises:
        ValueError: names the plan, the key, its value and what is allowed.
    """
    for index, (plan, work) in enumerate(zip(plans, kept, strict=True)):
        latents = set() if work is None else set(work.context) & set(plan.context)
        blocks = set() if work is None else set(work.blocks)
        for key, value, known in (("kept", plan.kept, latents), ("reused_blocks", plan.reused_blocks or (), blocks)):
            if not set(value) <= known or len(set(value)) != len(value):
                raise ValueError(
                    f"plans[{index}].{key}: {shown(value)} is not allowed; use {shown(sorted(known))} or a part of it, "
                    "which the chunk before has kept"
                )
