"""Content of `info`: flat, numbers and arrays of fixed shape, the same keys in every state of an episode."""

from __future__ import annotations

from collections.abc import Mapping
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


def describe(
    state: EpisodeState,
    metrics: Mapping[str, Any],
    frame_size: tuple[int, int],
    timings: bool = False,
    plan: bool = False,
) -> dict[str, Any]:
    """Make the info of a state, as `li_env.env.LightInteractionEnv` documents it: new objects.

    Args:
        state: of an episode.
        metrics: the task's numbers.
        frame_size: (height, width) of the observed frames in pixels.
        timings: add measured milliseconds by stage.
        plan: add the plan in words as dictionary ``plan``, empty where the step made no chunk.
    """
    spec, last = state.spec, state.last
    pose = np.array(state.episode.pose, dtype=np.float64)
    info: dict[str, Any] = {
        "pose": pose,
        "new_frames": state.new_frames,
        "frame_poses": state.frame_poses.copy(),
        "frame_times": frame_times(spec, state.episode.chunk, len(state.frame_poses)),
        "intrinsics": intrinsics(spec.focal, frame_size),
        "new_latents": 0 if last is None else len(last.actions),
        "latent_poses": np.tile(pose, (latent_rows(spec), 1, 1)) if last is None else last.latent_poses.copy(),
        "motion": np.zeros((latent_rows(spec), 4)) if last is None else last.motion.copy(),
        "blocked": 0.0 if last is None else last.blocked,
        **metrics,
        "chunk": int(state.episode.chunk),
        "start_index": int(state.start_index),
        "episode_seed": int(state.episode.seed),
        "degenerated": bool(state.episode.degenerated),
        **plan_numbers(last),
    }
    if timings:
        made = {} if last is None else state.milliseconds
        info |= {f"milliseconds_{stage}": float(made.get(stage, 0.0)) for stage in STAGES}
    if plan:
        info["plan"] = {} if last is None else last.plan.to_dict()
    return info


def plan_numbers(last: StepRecord | None) -> dict[str, int | float]:
    """Return the plan in numbers; zeros, and `RegimeCode.NONE`, where the step made no chunk."""
    if last is None:
        return {
            "regime": int(RegimeCode.NONE),
            "similarity": 0.0,
            "denoising_steps": 0,
            "context_latents": 0,
            "recent_latents": 0,
            "retrieved_latents": 0,
            "scan_views": 0,
            "attention_density": 0.0,
        }
    plan = last.plan
    return {
        "regime": _CODES[plan.regime],
        "similarity": float(plan.similarity),
        "denoising_steps": plan.computed_steps,
        "context_latents": plan.context_latents,
        "recent_latents": len(plan.temporal),
        "retrieved_latents": len(plan.memory),
        "scan_views": len(plan.views),
        "attention_density": float(attention_density(plan, last.latents)),
    }
