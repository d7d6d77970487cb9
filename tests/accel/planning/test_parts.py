"""Parts of presets that the plain model's decisions replace."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from li_env.accel.config import AccelConfig, preset_names
from li_env.accel.geometry.camera import follow
from li_env.accel.geometry.trajectory import parse_trajectory
from li_env.accel.plan import ChunkPlan
from li_env.accel.planning.parts import LeftOut, in_words, parts_of, without
from li_env.accel.planning.planner import Planner
from li_env.accel.pose_track import PoseTrack
from li_env.accel.view_bank import ViewBank
from li_env.accel.world_spec import WorldSpec
from tests.analytic_world import SPEC as ANALYTIC

SPEC = replace(ANALYTIC, supports_block_sparse=True, supports_rival_attention=True, supports_step_reuse=True)
WALK = parse_trajectory("w-12, left-20, right-23, w-8, s-20, left-12", SPEC.motion)
ALL, OFF, CACHE = (AccelConfig.preset(name) for name in ("all", "off", "cache"))


def plans(config: AccelConfig, left_out: LeftOut | None = None, bank: ViewBank | None = None) -> list[ChunkPlan]:
    poses = np.concatenate([np.eye(4)[None], follow(np.eye(4), WALK)])
    begins = range(0, len(poses) - 3, 4)
    planner = Planner(SPEC, config, None, left_out)
    tracks = [PoseTrack(poses[:begin]) for begin in begins]
    return planner.plan(tracks, [poses[begin : begin + 4] for begin in begins], [bank] * len(tracks))


def work(found: list[ChunkPlan]) -> list[tuple[object, ...]]:
    return [(plan.temporal, plan.memory, plan.views, plan.sigmas, plan.attention) for plan in found]


def test_parts_of_the_shipped_presets():
    found = {name: parts_of(SPEC, AccelConfig.preset(name)) for name in preset_names()}
    assert found == {
        "off": (),
        "context": ("context",),
        "temporal": ("context",),
        "spatial": ("context",),
        "adaptive": ("context",),
        "cache": ("cache",),
        "sparse": ("sparse",),
        "all": ("context", "cache", "sparse"),
        "paper": ("context", "cache", "sparse"),
        "bsa": (),
        "svg": (),
        "teacache": (),
    }
    assert parts_of(replace(SPEC, supports_block_sparse=False, sigmas=(1.0, 0.5, 0.0)), ALL) == ("context",)
    assert parts_of(SPEC, ALL.replace(reuse_blocks=0.3)) == ()


def test_a_part_that_is_left_out_is_decided_as_the_plain_model_does():
    whole, off = plans(ALL), plans(OFF)
    nothing = plans(ALL, LeftOut(own=("context", "cache", "sparse"), where="here"))
    assert work(nothing) == work(off) != work(whole)
    assert [(plan.regime, plan.similarity) for plan in nothing] == [(plan.regime, plan.similarity) for plan in off]
    assert work(plans(ALL, LeftOut(own=("context", "sparse")))) == work(plans(CACHE))
    sparse = plans(ALL, LeftOut(own=("context", "cache")))
    assert {plan.attention.kind for plan in sparse[3:]} == {"block_sparse"} and {plan.steps for plan in sparse} == {4}
    full = plans(ALL, LeftOut(own=("cache",)))
    assert [plan.context for plan in full] == [plan.context for plan in whole]
    assert [plan.regime for plan in full] == [plan.regime for plan in whole]
    assert "revisit" in {plan.regime for plan in full} and {plan.steps for plan in full} == {4}


def test_the_reason_says_so_after_the_warm_up():
    found = plans(ALL, LeftOut(own=("context", "cache"), where="with 32 environments on this device"))
    words = "the shorter context and the shorter schedule save no time with 32 environments on this device."
    assert all(plan.reason.endswith(f"; {words}") for plan in found[3:])
    assert all("save" not in plan.reason for plan in found[:3])
    assert plans(ALL, LeftOut(own=("sparse",), where="here"))[5].reason.endswith(
        "; block-sparse attention saves no time here."
    )
    assert in_words(("context", "cache", "sparse")).count(",") == 1


def test_episodes_in_scans_have_their_own_choice():
    bank = ViewBank(torch.zeros(8, *SPEC.latent_shape), np.tile(np.eye(4), (8, 1, 1)), SPEC.view_distance)
    left = LeftOut(scanned=("context", "cache", "sparse"), where="here")
    assert work(plans(ALL, left)) == work(plans(ALL))
    assert work(plans(ALL, left, bank)) == work(plans(OFF, None, bank)) != work(plans(ALL, None, bank))
    assert work(plans(ALL, LeftOut(own=("context",)), bank)) == work(plans(ALL, None, bank))


@pytest.mark.parametrize("name", ["all", "cache", "temporal"])
def test_revisits_are_measured_as_long_as_something_depends_on_them(name: str):
    config = AccelConfig.preset(name)
    assert without(config, ()) is config
    assert without(ALL, ("context",)).revisit == "coverage"
    assert without(ALL, ("context",)).memory_threshold == ALL.memory_threshold, "the judge keeps its threshold"
    plain = without(config, ("context", "cache", "sparse"))
    assert (plain.revisit, plain.memory, plain.denoising, plain.attention) == (
        "memory",
        "nearest_view",
        "full",
        "dense",
    )


def test_any_world_spec_has_its_parts_in_order():
    spec: WorldSpec = SPEC
    assert parts_of(spec, ALL.replace(attention="dense")) == ("context", "cache")
