"""Decisions of every preset: valid plans for any trajectory, and the regimes that a person would name."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from li_env.accel.config import AccelConfig, preset_names
from li_env.accel.geometry.camera import follow
from li_env.accel.geometry.trajectory import parse_trajectory
from li_env.accel.history import History
from li_env.accel.plan import ChunkPlan
from li_env.accel.planning.planner import Planner
from li_env.accel.planning.validate import check_plans
from li_env.accel.pose_track import PoseTrack
from li_env.accel.world_spec import WorldSpec
from tests.accel.strategies import specs, trajectories
from tests.accel.walks import wander
from tests.analytic_world import SPEC

FREEDOOM = replace(
    SPEC,
    view_distance=12.0,
    sigmas=(1.0, 0.75, 0.5, 0.25, 0.0),
    supports_block_sparse=True,
    supports_rival_attention=True,
    supports_step_reuse=True,
    window_kappa=1.0,
)
PRESETS = {name: AccelConfig.preset(name) for name in preset_names()}
RIVALS = ("bsa", "svg", "teacache")


def plans_along(text: str, name: str, **changes: Any) -> list[ChunkPlan]:
    motions = parse_trajectory(text, FREEDOOM.motion)
    poses = np.concatenate([np.eye(4)[None], follow(np.eye(4), motions)])
    starts = range(0, len(poses) - 3, 4)
    planner = Planner(FREEDOOM, PRESETS[name].replace(**changes))
    return planner.plan([PoseTrack(poses[:start]) for start in starts], [poses[s : s + 4] for s in starts])


def letters(plans: list[ChunkPlan]) -> str:
    return "".join(plan.regime[0] for plan in plans)


def test_shipped_presets() -> None:
    ours = ("adaptive", "all", "cache", "context", "off", "paper", "sparse", "spatial", "temporal")
    assert preset_names() == tuple(sorted((*ours, *RIVALS)))


@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_that_does_not_fit_a_world_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="(attention|reuse_threshold): .* does not fit world 'analytic', "):
        Planner(SPEC, PRESETS[name])


@settings(deadline=None, max_examples=25)
@given(
    name=st.sampled_from(sorted(PRESETS)),
    poses=trajectories(100),
    spec=specs(SPEC),
    change=st.none() | st.floats(0, 100),
)
def test_plans_are_valid_for_any_trajectory_and_budget(
    name: str, poses: np.ndarray, spec: WorldSpec, change: float | None
) -> None:
    if name in RIVALS:
        spec = replace(spec, supports_rival_attention=True, supports_step_reuse=True)
    planner, again = Planner(spec, PRESETS[name]), Planner(spec, PRESETS[name])
    length = index = 0
    while length < len(poses):
        count = spec.latents_in_chunk(index)
        history = History(PoseTrack(poses[:length]), latent_change=change)
        [plan] = planner.plan([history], [poses[length : length + count]])
        check_plans([plan], spec, [(index, length)])
        assert (plan.regime == "warmup") == (index < 3)
        assert plan.sigmas == spec.sigmas or (plan.steps == 2 and plan.regime == "revisit")
        assert plan.attention.kind == "dense" or plan.regime != "warmup"
        assert plan.attention.kind in spec.attention_kinds
        assert 0.0 <= plan.similarity <= 1.0
        assert plan.reason.endswith(".")
        assert ChunkPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
        assert again.plan([history], [poses[length : length + count]]) == [plan]
        length += count
        index += 1


@pytest.mark.parametrize("name", PRESETS)
def test_batch_equals_single_episodes(name: str) -> None:
    planner = Planner(FREEDOOM, PRESETS[name])
    lengths = (0, 4, 8, 12, 16, 20, 28, 64, 200, 400)
    walks = [wander(404, seed) for seed in range(3)]
    histories = [
        History(PoseTrack(poses[:length]), latent_change=0.3 * seed)
        for seed, poses in enumerate(walks)
        for length in lengths
    ]
    coming = [poses[length : length + 4] for poses in walks for length in lengths]
    together = planner.plan(histories, coming)
    assert together == [planner.plan([history], [poses])[0] for history, poses in zip(histories, coming, strict=True)]


@pytest.mark.parametrize("name", ["context", "cache", "all"])
@pytest.mark.parametrize(
    ("text", "regimes"),
    [
        ("w-47", "www" + "e" * 9),  # walk straight 12 chunks
        ("s-47", "www" + "e" * 9),
        ("left-63", "www" + "ee" + "r" * 11),  # a full turn is 6 chunks: the last of them meets the start again
        ("w-31, s-32", "www" + "e" * 5 + "r" * 8),  # out and back
        ("left-31, right-32", "www" + "ee" + "r" * 11),
        ("s-19, w-20", "www" + "ee" + "r" * 5),
        ("w-20, right-6, w-17", "www" + "e" * 8),  # into a side corridor
        ("w-16, d-7, a-8", "www" + "eee" + "rr"),  # step sideways and return
        ("w-19, right-12, w-12, right-12, w-12", "www" + "e" * 10 + "r" * 4),  # to and fro, facing the motion
        ("w-23, d-1, a-1, d-1, a-1, d-1, a-1, d-1, a-1", "www" + "eeeee"),  # a step to and fro: all views are recent
    ],
)
def test_regimes_are_what_a_person_would_say(name: str, text: str, regimes: str) -> None:
    assert letters(plans_along(text, name)) == regimes


def test_off_is_the_plain_model() -> None:
    for plan in plans_along("w-31, s-32", "off"):
        assert plan.sigmas == FREEDOOM.sigmas
        assert plan.attention.kind == "dense"
        assert len(plan.context) == min(20, 4 * plan.chunk)


def test_context_shortens_only_the_context() -> None:
    plans = plans_along("w-31, s-32", "context")
    assert [len(plan.context) for plan in plans] == [0, 4, 8] + [4] * 5 + [8] * 8
    assert {plan.steps for plan in plans} == {4}
    assert {plan.attention.kind for plan in plans} == {"dense"}
    assert "% of the coming views and old ones add too little; 0% of what is new" in plans[5].reason


def test_cache_shortens_only_the_schedule() -> None:
    plans, plain = plans_along("w-31, s-32", "cache"), plans_along("w-31, s-32", "off")
    assert [plan.context for plan in plans] == [plan.context for plan in plain]
    assert [plan.steps for plan in plans] == [4] * 8 + [2] * 8
    assert plans[9].sigmas == (1.0, 0.25, 0.0)
    assert "2 of 4 denoising steps" in plans[9].reason


def test_sparse_changes_only_the_attention() -> None:
    plans, plain = plans_along("w-31, s-32", "sparse"), plans_along("w-31, s-32", "off")
    assert [(plan.context, plan.sigmas) for plan in plans] == [(plan.context, plan.sigmas) for plan in plain]
    assert [plan.attention.kind for plan in plans] == ["dense"] * 3 + ["block_sparse"] * 13


def test_all_is_sparse_only_where_it_pays() -> None:
    plans = plans_along("w-31, s-32", "all")
    assert [plan.attention.kind for plan in plans] == ["dense"] * 8 + ["block_sparse"] * 8
    assert "attention is dense, which is faster below 8 context latents" in plans[5].reason


def test_a_world_without_sparse_attention_says_so() -> None:
    planner = Planner(replace(FREEDOOM, supports_block_sparse=False), PRESETS["sparse"])
    poses = wander(44, 0)
    [plan] = planner.plan([PoseTrack(poses[:40])], [poses[40:]])
    assert plan.attention.kind == "dense"
    assert plan.reason.endswith("attention is dense because this world has no block-sparse attention.")


def test_adaptive_window_reads_the_change_of_latents() -> None:
    planner = Planner(FREEDOOM, PRESETS["adaptive"])
    poses = wander(44, 0)
    track = PoseTrack(poses[:40])
    histories = [History(track, latent_change=change) for change in (None, 0.0, 1.0, 100.0)]
    plans = planner.plan([*histories, track], [poses[40:]] * 5)
    assert [len(plan.temporal) for plan in plans] == [12, 12, 8, 4, 12]
    assert "latents change by 100, so the window is 1 of 3 chunks" in plans[3].reason


def test_an_unknown_kappa_leaves_the_window_whole_and_names_the_command() -> None:
    poses = wander(44, 0)
    histories = [History(PoseTrack(poses[:40]), latent_change=change) for change in (0.0, 100.0)]
    for plan in Planner(replace(FREEDOOM, window_kappa=None), PRESETS["adaptive"]).plan(histories, [poses[40:]] * 2):
        assert len(plan.temporal) == 12
        assert "li-env calibrate window --world analytic" in plan.reason


def test_temporal_and_spatial_are_the_two_halves_of_context() -> None:
    plans = {name: plans_along("w-31, s-32", name) for name in ("off", "temporal", "spatial", "context")}
    for off, temporal, spatial, context in zip(*plans.values(), strict=True):
        if off.regime != "warmup":
            assert (temporal.temporal, spatial.temporal) == (context.temporal, off.temporal)
            assert len(spatial.memory) <= 8 and len(temporal.memory) == min(8, temporal.temporal[0])
            assert {plan.attention.kind for plan in (temporal, spatial)} == {"dense"}
            assert {plan.steps for plan in (temporal, spatial)} == {4}


def test_rivals_change_nothing_but_their_own_part() -> None:
    plain = plans_along("w-31, s-32", "off")
    for name in RIVALS:
        plans = plans_along("w-31, s-32", name)
        assert [(plan.context, plan.sigmas) for plan in plans] == [(plan.context, plan.sigmas) for plan in plain]
        kinds = {plan.attention.kind for plan in plans[3:]}
        assert kinds == ({"dense"} if name == "teacache" else {name})
        assert {plan.reuse_threshold for plan in plans[3:]} == {0.1 if name == "teacache" else None}
        assert {(plan.attention.kind, plan.reuse_threshold) for plan in plans[:3]} == {("dense", None)}
