"""Content of `info`: flat, numbers and arrays of fixed shape, the same keys in every state of an episode.

It is made key by key for all episodes of a batch: a list per key costs a fraction of a dictionary per episode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np

from li_env.accel.plan import attention_density
from li_env.accel.runtime.chunk import STAGES
from li_env.frames import frame_times, intrinsics
from li_env.state import EpisodeState, StepRecord, latent_rows


class RegimeCode(IntEnum):
    """Values of ``info["regime"]``; ``NONE`` where the step made no chunk."""

    NONE = -1
    WARMUP = 0
    EXPLORE = 1
    REVISIT = 2


_CODES = {code.name.lower(): int(code) for code in RegimeCode}  # a look-up in an enumeration takes longer


Columns = dict[str, Any]
"""Sequences of values by key, one per episode."""


def describe(
    states: Sequence[EpisodeState],
    metrics: Mapping[str, Any],
    frame_size: tuple[int, int],
    timings: bool = False,
    plan: bool = False,
) -> Columns:
    """Make the infos of states of one world, as `li_env.env.LightInteractionEnv` documents them, key by key.

    Args:
        states: of B episodes.
        metrics: the task's numbers, B per key.
        frame_size: (height, width) of the observed frames in pixels.
        timings: add measured milliseconds by stage.
        plan: add the plan in words as dictionary ``plan``, empty where the step made no chunk.
    """
    if not states:
        return {}
    spec = states[0].spec
    rows, pinhole = latent_rows(spec), intrinsics(spec.focal, frame_size)
    episodes, lasts = [state.episode for state in states], [state.last for state in states]
    poses = [episode.pose for episode in episodes]
    columns: Columns = {
        "pose": poses,
        "new_frames": [state.new_frames for state in states],
        "frame_poses": [state.frame_poses for state in states],
        "frame_times": [frame_times(spec, state.episode.chunk, len(state.frame_poses)) for state in states],
        "intrinsics": [pinhole] * len(states),
        "new_latents": [0 if last is None else len(last.actions) for last in lasts],
        "latent_poses": [
            np.broadcast_to(pose, (rows, 4, 4)) if last is None else last.latent_poses
            for pose, last in zip(poses, lasts, strict=True)
        ],
        "motion": [np.zeros((rows, 4)) if last is None else last.motion for last in lasts],
        "blocked": [0.0 if last is None else last.blocked for last in lasts],
        **metrics,
        "chunk": [int(episode.chunk) for episode in episodes],
        "start_index": [int(state.start_index) for state in states],
        "episode_seed": [int(episode.seed) for episode in episodes],
        "degenerated": [bool(episode.degenerated) for episode in episodes],
        **plan_numbers(lasts),
    }
    if timings:
        made = [{} if state.last is None else state.milliseconds for state in states]
        columns |= {f"milliseconds_{stage}": [float(each.get(stage, 0.0)) for each in made] for stage in STAGES}
    if plan:
        columns["plan"] = [{} if last is None else last.plan.to_dict() for last in lasts]
    return columns


def plan_numbers(lasts: Sequence[StepRecord | None]) -> Columns:
    """Return the plans in numbers; zeros, and `RegimeCode.NONE`, where the step made no chunk."""
    numbers = [_NO_PLAN if last is None else _numbers(last) for last in lasts]
    return dict(zip(_PLAN_KEYS, zip(*numbers, strict=True), strict=True))


_PLAN_KEYS = (
    *("regime", "similarity", "denoising_steps", "context_latents", "recent_latents", "retrieved_latents"),
    *("scan_views", "attention_density"),
)
_NO_PLAN = int(RegimeCode.NONE), 0.0, 0, 0, 0, 0, 0, 0.0


def _numbers(last: StepRecord) -> tuple[int | float, ...]:
    plan = last.plan
    context, steps = plan.context_latents, plan.computed_steps
    return (
        *(_CODES[plan.regime], float(plan.similarity), steps, context),
        *(len(plan.temporal), len(plan.memory), len(plan.views)),
        attention_density(plan, last.latents),
    )
