"""Policies of work shared between chunks: which keys and values are kept, and whether blocks may be reused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion, MotionLimits
from li_env.accel.kept_work import KeptWork
from li_env.accel.plan import ChunkPlan
from li_env.accel.world_spec import WorldSpec


def check_sharing(spec: WorldSpec, config: AccelConfig) -> None:
    """Refuse settings that reuse work in a world that cannot.

    Raises:
        ValueError: names the key, the world and what is allowed.
    """
    for key in ("reuse_context", "reuse_blocks"):
        if getattr(config, key) and not spec.supports_shared_work:
            raise ValueError(
                f"{key}: {getattr(config, key)} does not fit world {spec.name!r}, which keeps no work of the chunk "
                "before; allowed: 0"
            )


def share_work(
    plan: ChunkPlan,
    config: AccelConfig,
    limits: MotionLimits,
    kept: KeptWork | None,
    poses: np.ndarray,
    motions: Sequence[CameraMotion],
) -> ChunkPlan:
    """Return the plan with what it reuses of the chunk before.

    A chunk of the warm-up, without context, with sparse attention or with TeaCache shares nothing. A latent's keys and
    values are kept if the camera has stayed within ``reuse_context`` of where the newest latent was when they were
    computed. Blocks may be reused if every motion differs by less than ``reuse_blocks`` from that of the chunk before
    and the noise levels are equal; the world then compares the inputs of every block.

    Args:
        plan: plan of the chunk, which shares nothing yet.
        config: settings of the episode.
        limits: motion per latent, the unit of changes.
        kept: work of the chunk before.
        poses: [n, 4, 4] of all finished latents.
        motions: realised motions of the chunk.
    """
    dense = plan.attention.kind == "dense" and plan.reuse_threshold is None
    if plan.regime == "warmup" or not dense or not plan.context or not (config.reuse_context or config.reuse_blocks):
        return plan
    plan = replace(plan, shares=True)
    if kept is None:
        return plan
    since = {newest: camera_change(poses[newest:], limits) for newest in set(kept.references.values())}
    known = [index for index in plan.context if index in kept.references]
    reused = tuple(index for index in known if since[kept.references[index]] < config.reuse_context)
    still = plan.sigmas == kept.sigmas and motion_change(kept.motions, motions, limits) < config.reuse_blocks
    words = []
    if reused:
        words.append(f"keys and values of {len(reused)} of {plan.context_latents} context latents are kept")
    if still:
        words.append("blocks whose input hardly changes are reused")
    reason = plan.reason if not words else f"{plan.reason.removesuffix('.')}; {'; '.join(words)}."
    return replace(plan, kept=reused, reuse_blocks=config.reuse_blocks if still else 0.0, reason=reason)


def camera_change(poses: np.ndarray, limits: MotionLimits) -> float:
    """Return the largest change of poses [n, 4, 4] from the first, in motions per latent: of place and of angle."""
    relative = np.linalg.inv(poses[0]) @ poses
    cosine = np.clip((np.trace(relative[:, :3, :3], axis1=1, axis2=2) - 1.0) / 2.0, -1.0, 1.0)
    place = np.linalg.norm(relative[:, :3, 3], axis=1) / limits.translation
    return float(max(place.max(), np.degrees(np.arccos(cosine)).max() / limits.rotation))


def motion_change(before: Sequence[CameraMotion], now: Sequence[CameraMotion], limits: MotionLimits) -> float:
    """Return the largest difference between two lists of motions, in motions per latent; infinite if lengths differ."""
    if len(before) != len(now):
        return float("inf")
    return max(
        (
            max(
                abs(first.yaw - second.yaw) / limits.rotation,
                abs(first.pitch - second.pitch) / limits.rotation,
                np.hypot(first.right - second.right, first.forward - second.forward) / limits.translation,
            )
            for first, second in zip(before, now, strict=True)
        ),
        default=0.0,
    )
