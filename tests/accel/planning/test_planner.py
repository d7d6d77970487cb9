from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion, MotionLimits, follow
from li_env.accel.geometry.frustum import FrustumSampler
from li_env.accel.geometry.trajectory import parse_trajectory
from li_env.accel.plan import ChunkPlan
from li_env.accel.planning.planner import Planner
from li_env.accel.pose_track import PoseTrack
from li_env.accel.retrieval.base import MAX_CANDIDATES, MAX_QUERIES
from li_env.accel.world_spec import WorldSpec
from li_env.worlds.hy_worldplay.view_overlap import BallOverlap
from tests.accel.strategies import specs, trajectories
from tests.analytic_world import SPEC
from tests.oracle import load_oracle

OFF = AccelConfig.preset("off")


def track_of(text: str, spec: WorldSpec = SPEC) -> np.ndarray:
    return np.concatenate([np.eye(4)[None], follow(np.eye(4), parse_trajectory(text, spec.motion))])


def plan_at(planner: Planner, poses: np.ndarray, length: int) -> ChunkPlan:
    count = planner.spec.first_chunk_latents if length == 0 else planner.spec.chunk_latents
    return planner.plan([PoseTrack(poses[:length])], [poses[length : length + count]])[0]


def check(plan: ChunkPlan, spec: WorldSpec, length: int) -> None:
    """Check what holds for every plan of the plain model."""
    context = plan.context
    assert len(set(context)) == len(context) <= spec.context_latents  # disjoint, within the budget
    assert all(0 <= index < length for index in context)
    assert plan.temporal == tuple(range(max(0, length - spec.temporal_latents), length))
    assert plan.memory == tuple(sorted(plan.memory))
    if length <= spec.context_latents:
        assert context == tuple(range(length))
    else:
        whole = (spec.context_latents - spec.temporal_latents) // spec.memory_group * spec.memory_group
        assert len(plan.memory) == whole
    assert plan.sigmas == spec.sigmas
    assert plan.attention.kind == "dense"
    assert 0.0 <= plan.similarity <= 1.0
    assert plan.reason.endswith(".")
    assert ChunkPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@pytest.fixture(scope="module")
def hy() -> tuple[dict[str, Any], BallOverlap]:
    description, tensors = load_oracle("hy_worldplay_tiny")
    selection = description["memory_selection"]
    return selection, BallOverlap(tensors[selection["points"]])


def test_selections_match_oracle(hy: tuple[dict[str, Any], BallOverlap]) -> None:
    selection, overlap = hy
    limits = MotionLimits(translation=0.08, rotation=3.0, pitch=True)
    compared = 0
    for trajectory in selection["trajectories"]:
        spec = replace(
            SPEC, context_latents=trajectory["memory_frames"], temporal_latents=trajectory["temporal"], motion=limits
        )
        planner = Planner(spec, OFF, overlap)
        poses = track_of(trajectory["pose"], spec)
        assert len(poses) == trajectory["num_latents"]
        for entry in trajectory["per_chunk"]:
            plan = plan_at(planner, poses, entry["current"])
            check(plan, spec, entry["current"])
            assert list(plan.context) == entry["selected"]
            queries = poses[entry["current"] : entry["current"] + 4]
            for group, distance in entry.get("distances", []):
                similarity = overlap.overlap(queries, poses[[group, group + 2]]).mean()
                assert similarity == pytest.approx(1 - distance, abs=1e-6)
                assert plan.similarity >= similarity - 1e-6
                compared += 1
    assert compared


@settings(deadline=None, max_examples=60)
@given(poses=trajectories(120), spec=specs(SPEC))
def test_plans_are_valid_for_any_trajectory_and_budget(poses: np.ndarray, spec: WorldSpec) -> None:
    planner, again = Planner(spec, OFF), Planner(spec, OFF)
    length = index = 0
    while length < len(poses):
        plan = plan_at(planner, poses, length)
        assert plan.chunk == index
        check(plan, spec, length)
        assert plan == plan_at(again, poses, length)
        length += spec.latents_in_chunk(index)
        index += 1


def test_batch_equals_single_episodes() -> None:
    planner = Planner(SPEC, OFF)
    texts = ("w-59", "left-59", "w-20,s-39", "left-12,right-12,w-5,s-30")
    tracks = [track_of(text) for text in texts]
    lengths = (0, 4, 40, 56)
    pairs = [(PoseTrack(poses[:length]), poses[length : length + 4]) for poses in tracks for length in lengths]
    together = planner.plan([track for track, _ in pairs], [poses for _, poses in pairs])
    assert together == [planner.plan([track], [poses])[0] for track, poses in pairs]


def test_regimes() -> None:
    spec = replace(SPEC, motion=replace(SPEC.motion, translation=0.25))
    out_and_back = track_of("w-31, s-32", spec)
    regimes = [plan_at(Planner(spec, OFF), out_and_back, length).regime for length in range(0, 64, 4)]
    assert regimes[:3] == ["warmup"] * 3
    assert set(regimes[3:8]) == {"explore"}
    assert set(regimes[12:]) == {"revisit"}
    assert plan_at(Planner(spec, OFF.replace(revisit_similarity=1.0)), out_and_back, 56).regime == "explore"
    assert plan_at(Planner(spec, OFF.replace(warmup_chunks=0)), out_and_back, 4).regime == "explore"


def test_return_retrieves_the_same_views() -> None:
    """Step forward from the start, just as latents 24 to 27 did."""
    plan = plan_at(Planner(SPEC, OFF), track_of("left-12, right-12, w-12, s-12, w-4"), 48)
    assert plan.regime == "revisit"
    assert plan.memory == (0, 1, 2, 3, 24, 25, 26, 27)
    assert "8 old latents join the last 12" in plan.reason


class CountingOverlap:
    """View overlap that counts the compared pairs of views."""

    def __init__(self) -> None:
        self.pairs = 0
        self._inner = FrustumSampler(SPEC.fov, SPEC.view_distance)

    def overlap(self, current: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        self.pairs += int(np.prod(current.shape[:-2]) * candidates.shape[-3])
        return self._inner.overlap(current, candidates)


def test_work_per_chunk_stops_growing() -> None:
    counting = CountingOverlap()
    planner = Planner(SPEC, OFF, counting)
    generator = np.random.default_rng(0)
    poses = follow(np.eye(4), [CameraMotion(yaw=generator.choice([-15, 0, 15]), forward=0.3) for _ in range(4004)])
    track, work = PoseTrack(), []
    for length in range(0, 4000, 4):
        before = counting.pairs
        planner.plan([track], [poses[length : length + 4]])
        work.append(counting.pairs - before)
        track = track.append(poses[length : length + 4])
    assert max(work) == work[-1] == work[60] == MAX_QUERIES * 2 * MAX_CANDIDATES


def test_long_chunks_are_compared_at_a_few_poses() -> None:
    counting = CountingOverlap()
    spec = replace(SPEC, chunk_latents=10, first_chunk_latents=15, memory_group=1)
    plan = plan_at(Planner(spec, OFF, counting), track_of("w-54"), 45)
    check(plan, spec, 45)
    assert counting.pairs == MAX_QUERIES * 32


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"temporal_latents": 0}, "temporal_latents"),
        ({"temporal_latents": 21}, "temporal_latents"),
        ({"memory_group": 0}, "memory_group"),
    ],
)
def test_contradicting_budgets(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=f"^{key}: {changes[key]} is not allowed; use "):
        Planner(replace(SPEC, **changes), OFF)


def test_one_list_of_poses_per_history() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        Planner(SPEC, OFF).plan([PoseTrack()], [])
