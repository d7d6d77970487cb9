"""Decisions and scores of the preset ``paper``, equal to the release's (docs/spec/hy_worldplay.md, section 9)."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import MotionLimits, follow
from li_env.accel.geometry.trajectory import parse_trajectory
from li_env.accel.plan import ChunkPlan
from li_env.accel.planning.planner import Planner
from li_env.accel.pose_track import PoseTrack
from li_env.worlds.hy_worldplay.view_overlap import BallOverlap, ball_points
from tests.analytic_world import SPEC
from tests.oracle import oracle_folder

HY = replace(
    SPEC,
    motion=MotionLimits(translation=0.08, rotation=3.0, pitch=True),
    supports_block_sparse=True,
    tile_shape=(4, 8, 4),
)
PAPER = AccelConfig.preset("paper")
LONG = {"window_chunks": None, "memory_groups": None, "memory_threshold": 0.0}
"""Budget of the model itself, without a gate."""

RELEASE = {
    "off": AccelConfig.preset("off"),
    "context": PAPER.replace(denoising="full", attention="dense"),
    "cache": PAPER.replace(**LONG, attention="dense"),
    "sparse": PAPER.replace(**LONG, denoising="full"),
    "all": PAPER,
}
"""Presets of the release (docs/spec/hy_worldplay.md, section 9.1)."""


@cache
def description() -> dict[str, Any]:
    return json.loads((oracle_folder() / "hy_worldplay_light_tiny.json").read_text(encoding="utf-8"))


def plans_along(text: str, config: AccelConfig, points: np.ndarray) -> list[ChunkPlan]:
    poses = np.concatenate([np.eye(4)[None], follow(np.eye(4), parse_trajectory(text, HY.motion))])
    planner = Planner(HY, config, BallOverlap(points))
    starts = range(0, len(poses), 4)
    return planner.plan([PoseTrack(poses[:start]) for start in starts], [poses[s : s + 4] for s in starts])


@pytest.mark.parametrize("name", RELEASE)
def test_stored_decisions(name: str) -> None:
    """Compare selections, scores and reuse, chunk by chunk. Sparse attention runs from chunk 3 on."""
    spec = description()["spec"]
    plans = plans_along(spec["pose"], RELEASE[name], ball_points(spec["num_points"], spec["points_seed"]))
    by_start = {4 * plan.chunk: plan for plan in plans}
    entries = description()["rollouts"][name]["per_chunk"]
    assert entries
    for entry in entries:
        plan = by_start[entry["current"]]
        assert list(plan.context) == entry["selected"]
        assert (plan.steps == 2) == entry["denoise_cache_on"]
        assert plan.sigmas == ((1.0, 0.625, 0.0) if entry["denoise_cache_on"] else HY.sigmas)
        sparse = name in ("sparse", "all") and plan.chunk >= 3
        assert (plan.attention.kind, plan.attention.decode_ratio, plan.attention.context_ratio) == (
            ("block_sparse", 0.175, 0.3) if sparse else ("dense", 1.0, 1.0)
        )
        if name != "off" and plan.regime != "warmup":  # the plain model has no use for scores
            assert plan.similarity == pytest.approx(entry["max_score"], abs=1e-4)
            assert (plan.regime == "revisit") == (entry["max_score"] >= 0.7)


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return ball_points(50_000, seed=0)


def test_scores_of_turning(points: np.ndarray) -> None:
    plans = plans_along("left-31, right-32", PAPER, points)
    assert all(0.555 <= plan.similarity <= 0.595 for plan in plans[3:8])
    assert all(0.765 <= plan.similarity <= 0.945 for plan in plans[8:])
    assert [len(plan.context) for plan in plans] == [0, 4, 8] + [8] * 5 + [12] * 8
    assert [plan.memory for plan in plans[3:8]] == [(0, 1, 2, 3)] * 5
    assert np.mean([plan.steps for plan in plans]) == 3.0


def test_scores_of_walking(points: np.ndarray) -> None:
    """Show the flaw: the gate never fires, because the chunk just before the window resembles the coming views."""
    plans = plans_along("w-31, s-32", PAPER, points)
    assert all(0.765 <= plan.similarity <= 0.795 for plan in plans[3:8])
    assert all(0.875 <= plan.similarity <= 0.975 for plan in plans[8:])
    assert [plan.regime for plan in plans[3:]] == ["revisit"] * 13
    assert np.mean([plan.steps for plan in plans]) == pytest.approx(2.4, abs=0.05)


def test_coverage_does_not_take_walking_for_a_revisit() -> None:
    config = AccelConfig.preset("all")
    for text in ("w-31, s-32", "left-31, right-32"):
        plans = plans_along(text, config, ball_points(10, seed=0))
        # The last chunk goes on beyond the start.
        assert [plan.regime for plan in plans[:-1]] == ["warmup"] * 3 + ["explore"] * 5 + ["revisit"] * 7
        assert [len(plan.memory) for plan in plans[3:]] == [0] * 5 + [4] * 8
