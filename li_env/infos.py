"""What `info` tells about a moment: flat, numbers and arrays of fixed shape, the same keys at every moment."""

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
    """``info["regime"]``: what kind of chunk the planner saw; ``NONE`` where the step made no chunk."""

    NONE = -1
    WARMUP = 0
    EXPLORE = 1
    REVISIT = 2


_CODES = {code.name.lower(): int(code) for code in RegimeCode}  # a look-up in an enumeration takes longer


def describe(
    now: EpisodeState,
    metrics: Mapping[str, Any],
    frame_size: tuple[int, int],
    timings: bool = False,
    plan: bool = False,
) -> dict[str, Any]:
    """Make the info of a moment, as `li_env.env.LightInteractionEnv` documents it: new objects.

    Args:
        now: the moment.
        metrics: the task's numbers.
        frame_size: (height, width) of the observed frames in pixels.
        timings: add measured milliseconds by stage.
        plan: add the plan in words as dictionary ``plan``, empty where the step made no chunk.
    """
    spec, last = now.spec, now.last
    pose = np.array(now.episode.pose, dtype=np.float64)
    info: dict[str, Any] = {
        "pose": pose,
        "new_frames": now.new_frames,
        "frame_poses": now.frame_poses.copy(),
        "frame_times": frame_times(spec, now.episode.chunk, len(now.frame_poses)),
        "intrinsics": intrinsics(spec.focal, frame_size),
        "new_latents": 0 if last is None else len(last.actions),
        "latent_poses": np.tile(pose, (latent_rows(spec), 1, 1)) if last is None else last.latent_poses.copy(),
        "motion": np.zeros((latent_rows(spec), 4)) if last is None else last.motion.copy(),
        "blocked": 0.0 if last is None else last.blocked,
        **metrics,
        "chunk": int(now.episode.chunk),
        "start_index": int(now.start_index),
        "episode_seed": int(now.episode.seed),
        "degenerated": bool(now.episode.degenerated),
        **plan_numbers(last),
    }
    if timings:
        made = {} if last is None else now.milliseconds
        info |= {f"milliseconds_{stage}": float(made.get(stage, 0.0)) for stage in STAGES}
    if plan:
        info["plan"] = {} if last is None else last.plan.to_dict()
    return info


def plan_numbers(last: StepRecord | None) -> dict[str, int | float]:
    """What can be said about a plan in numbers; zeros, and `RegimeCode.NONE`, where the step made no chunk."""
    if last is None:
        return {
            "regime": int(RegimeCode.NONE),
            "similarity": 0.0,
            "denoising_steps": 0,
            "context_latents": 0,
            "recent_latents": 0,
            "retrieved_latents": 0,
            "attention_density": 0.0,
        }
    plan = last.plan
    return {
        "regime": _CODES[plan.regime],
        "similarity": float(plan.similarity),
        "denoising_steps": plan.steps,
        "context_latents": len(plan.temporal) + len(plan.memory),
        "recent_latents": len(plan.temporal),
        "retrieved_latents": len(plan.memory),
        "attention_density": float(attention_density(plan, last.latents)),
    }
