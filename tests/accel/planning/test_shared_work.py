from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import STILL, CameraMotion, follow
from li_env.accel.kept_work import KeptWork
from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.planning.planner import Planner
from li_env.accel.planning.shared_work import camera_change, motion_change, share_work
from tests.analytic_world import SPEC

BOTH = AccelConfig(reuse_context=1.0, reuse_blocks=0.3)
PLAN = ChunkPlan(4, "explore", 0.0, (4, 5, 6, 7), (0, 1), (1.0, 0.5, 0.0), AttentionPlan(), "Test.")
LIMITS = SPEC.motion
STANDING = np.tile(np.eye(4), (8, 1, 1))


def kept(motions: tuple[CameraMotion, ...] = (STILL,) * 4) -> KeptWork:
    return KeptWork(motions, PLAN.sigmas, {0: 3, 4: 3, 5: 5}, {0: None, 4: None, 5: None}, {})


def shared(plan: ChunkPlan = PLAN, config: AccelConfig = BOTH, poses: np.ndarray = STANDING, **changes: object):
    motions = changes.get("motions", (STILL,) * 4)
    return share_work(plan, config, LIMITS, changes.get("kept", kept()), poses, motions)


def test_a_standing_camera_keeps_all_that_is_known_and_in_the_context() -> None:
    plan = shared()
    assert (plan.shares, plan.kept, plan.reuse_blocks) == (True, (0, 4, 5), 0.3)
    assert "keys and values of 3 of 6" in plan.reason and plan.reason.endswith(".")


def test_a_camera_that_left_and_came_back_counts_as_moved() -> None:
    there, back = CameraMotion(forward=LIMITS.translation), CameraMotion(forward=-LIMITS.translation)
    poses = np.concatenate([STANDING[:4], follow(np.eye(4), (there, back, STILL, STILL))])
    assert camera_change(poses[3:], LIMITS) == pytest.approx(1.0)
    assert shared(poses=poses, config=BOTH.replace(reuse_context=0.99)).kept == (5,)


def test_nothing_is_shared_in_warm_up_without_context_or_with_sparse_attention_or_closed_gates() -> None:
    for plan in (
        replace(PLAN, regime="warmup"),
        replace(PLAN, temporal=(), memory=()),
        replace(PLAN, attention=AttentionPlan("block_sparse", 0.5, 0.5)),
    ):
        assert shared(plan) is plan
    assert shared(config=AccelConfig()) is PLAN


def test_the_first_shared_chunk_leaves_its_work_and_reuses_nothing() -> None:
    assert shared(kept=None) == replace(PLAN, shares=True)


def test_blocks_need_equal_motions_and_noise_levels() -> None:
    turned = (CameraMotion(yaw=LIMITS.rotation),) * 4
    assert shared(motions=turned).reuse_blocks == 0.0
    assert shared(motions=turned, kept=kept(turned)).reuse_blocks == 0.3
    assert shared(replace(PLAN, sigmas=(1.0, 0.0))).reuse_blocks == 0.0


def test_motion_change_is_in_motions_per_latent() -> None:
    before, now = (STILL, STILL), (STILL, CameraMotion(yaw=LIMITS.rotation / 2))
    assert motion_change(before, now, LIMITS) == pytest.approx(0.5)
    assert motion_change(before, (STILL,), LIMITS) == float("inf")


@pytest.mark.parametrize("key", ["reuse_context", "reuse_blocks"])
def test_a_world_that_keeps_no_work_refuses(key: str) -> None:
    with pytest.raises(ValueError, match=f"{key}: 0.5 does not fit world .* allowed: 0"):
        Planner(SPEC, AccelConfig(**{key: 0.5}))


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), True, "much"])
@pytest.mark.parametrize("key", ["reuse_context", "reuse_blocks"])
def test_gates_are_numbers_from_zero(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{key}: .* is not allowed; use a number from 0 up"):
        AccelConfig(**{key: value})
