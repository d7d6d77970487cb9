"""Retrieval by memory slots on the trajectories of docs/spec/matrix_game_3.md, sections 5 and 12.

Only results that rounding cannot change are compared.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import MotionLimits
from li_env.accel.geometry.frustum import FrustumSampler
from li_env.accel.plan import ChunkPlan
from li_env.accel.planning.planner import Planner
from li_env.accel.planning.validate import check_plans
from li_env.accel.pose_track import PoseTrack
from li_env.accel.world_spec import WorldSpec
from tests.analytic_world import SPEC

MG3 = replace(
    SPEC,
    chunk_latents=10,
    first_chunk_latents=15,
    latent_frames=4,
    focal=(0.5, 0.5),
    view_distance=30.0,
    sigmas=(0.9998, 0.9088, 0.714, 0.0),
    context_latents=9,
    temporal_latents=4,
    memory_group=1,
    motion=MotionLimits(translation=0.494, rotation=6.0, pitch=True),
    memory_rule="slots",
    view_threshold=0.45,
)
PAPER = AccelConfig.preset("paper").replace(warmup_chunks=0)
TURN, WALK = "left-right", "forward-backward"


def track(kind: str, chunks: int = 8) -> np.ndarray:
    """Return poses of all latents: half of the chunks out, half back (40 frames per chunk, the first has 56)."""
    first = 14 + 10 * (chunks // 2 - 1)
    steps = np.concatenate([np.ones(first), -np.ones(10 * chunks + 4 - first)])
    distance = np.concatenate([[0.0], np.cumsum(steps)])
    poses = np.tile(np.eye(4), (len(distance), 1, 1))
    if kind == WALK:
        poses[:, 2, 3] = MG3.motion.translation * distance
    else:
        angle = -np.radians(MG3.motion.rotation * distance)
        poses[:, 0, 0], poses[:, 0, 2] = np.cos(angle), np.sin(angle)
        poses[:, 2, 0], poses[:, 2, 2] = -np.sin(angle), np.cos(angle)
    return poses


def plans(poses: np.ndarray, config: AccelConfig, spec: WorldSpec = MG3) -> list[ChunkPlan]:
    starts = [15 + 10 * chunk for chunk in range((len(poses) - 15) // 10)]
    planner = Planner(spec, config)
    return planner.plan([PoseTrack(poses[:start]) for start in starts], [poses[start : start + 10] for start in starts])


@pytest.mark.parametrize("kind", [TURN, WALK])
def test_exact_revisits_are_revisits_in_any_precision(kind: str) -> None:
    """Compare precisions: scores of the original flip between float32 and float64 in 2 of 14 chunks here."""
    poses = track(kind)
    moved = np.eye(4)
    moved[:3, 3] = 1234.5, -67.8, 910.1  # far from the origin rounding is larger
    for given in (poses, poses.astype(np.float32).astype(np.float64), moved @ poses):
        for plan, exact in zip(plans(given, PAPER), plans(poses, PAPER), strict=True):
            assert (plan.memory, plan.slots, plan.regime) == (exact.memory, exact.slots, exact.regime)
    for plan in plans(poses, PAPER)[4:]:
        assert plan.similarity > 0.99 and plan.regime == "revisit"


def test_the_gate_keeps_what_the_release_keeps() -> None:
    """Keep the last slot when turning away, and all slots when turning back or walking.

    Source: docs/spec/matrix_game_3.md, section 12.1.
    """
    turning = plans(track(TURN), PAPER)
    assert [len(plan.slots) for plan in turning[:7]] == [1, 1, 1, 5, 5, 5, 5]
    assert [plan.steps for plan in turning[:7]] == [3, 3, 3, 2, 2, 2, 2]
    assert all(plan.memory == (1,) for plan in turning[:3])
    walking = plans(track(WALK), PAPER)
    assert [len(plan.slots) for plan in walking[:7]] == [5] * 7
    assert [plan.steps for plan in walking[:7]] == [2] * 7


def test_the_plain_rule_fills_every_slot() -> None:
    """Turn: the latent just before the window fills four slots, the first latent made fills the last slot."""
    plain = plans(track(TURN), AccelConfig.preset("off"))
    assert [latent for latent, _ in plain[0].slots] == [10, 10, 10, 10, 1]
    assert [view for _, view in plain[0].slots] == [9, 7, 5, 3, 1]
    for plan in plain:
        assert len(plan.slots) == 5 and plan.slots[-1][0] == 1 and 0 not in plan.memory
        assert plan.memory == tuple(sorted({latent for latent, _ in plan.slots}))
        assert plan.steps == 3
        assert ChunkPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    check_plans(plain, MG3, [(plan.chunk, 5 + 10 * plan.chunk) for plan in plain])


def test_coverage_brings_no_latent_twice_and_no_slots() -> None:
    for kind in (TURN, WALK):
        for plan in plans(track(kind), AccelConfig.preset("all")):
            if plan.regime != "warmup":
                assert plan.slots == () and len(set(plan.memory)) == len(plan.memory) <= 2


def test_no_latent_old_enough() -> None:
    spec = replace(MG3, first_chunk_latents=5)
    plan = Planner(spec, PAPER).plan([PoseTrack(track(WALK)[:5])], [track(WALK)[5:15]])[0]
    assert (plan.memory, plan.slots, plan.regime) == ((), (), "explore")


def test_slots_of_a_stored_plan_are_checked() -> None:
    plan = plans(track(TURN), PAPER)[4]
    length = 15 + 10 * 4
    wrong = replace(plan, slots=((0, 0),))
    with pytest.raises(ValueError, match=r"plans\[0\].slots: \(\(0, 0\),\) is not allowed; use pairs of the memory"):
        check_plans([wrong], MG3, [(plan.chunk, length)])


def test_a_threshold_of_the_settings_goes_before_the_worlds_own() -> None:
    strict = PAPER.replace(memory_threshold=0.999, revisit_similarity=0.999)
    assert [len(plan.slots) for plan in plans(track(WALK), strict)[:3]] == [1, 1, 1]


def test_similarity_of_the_same_view_is_one() -> None:
    sampler = FrustumSampler(MG3.fov, MG3.view_distance)
    poses = track(TURN)
    assert np.diag(sampler.overlap(poses, poses)).min() == 1.0
