"""Which parts of a preset pay with so many environments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from li_env.accel.config import AccelConfig
from li_env.accel.costs import CallTimes, CostTable
from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.planning import choice
from li_env.accel.planning.choice import choose_parts, judge_parts, planned
from li_env.accel.planning.parts import LeftOut
from li_env.worlds.freedoom.batching import calls_of
from tests.analytic_world import SPEC as ANALYTIC
from tests.analytic_world import AnalyticWorld

SPEC = replace(ANALYTIC, fewest_memory_groups=1, view_distance=12.0)
"""Constants of freedoom as far as plans see them."""

ALL = AccelConfig.preset("all")
LENGTHS = (4, 8, 12, 16, 20)
LINEAR = CostTable((2, 4), (CallTimes(1, LENGTHS, tuple((10.0 + c, 20.0 + 2 * c) for c in LENGTHS)),))
"""A device that computes one episode at a time, without a fixed cost of a call."""


def flat(size: int, slope: float) -> CallTimes:
    """Times of padded calls, of which most is the same for any context."""
    return CallTimes(size, LENGTHS, tuple((6.0 + slope * c, 10.0 + slope * c) for c in LENGTHS))


class Padded(AnalyticWorld):
    """World that computes episodes in micro-batches of 8, like freedoom on a GPU."""

    def micro_batch(self, num_envs: int) -> int:
        return 8

    def model_calls(self, plans, num_envs):
        return calls_of(plans, 8)


def world(table: CostTable | None, kind: type[AnalyticWorld] = AnalyticWorld, device: str = "cpu") -> AnalyticWorld:
    made = kind(spec=SPEC)
    made.costs, made.device = table, torch.device(device)  # nothing is computed there
    return made


def test_without_a_table_nothing_is_left_out():
    padded = world(CostTable((2, 4), (flat(8, 0.0),)), Padded)
    assert judge_parts(padded, ALL, 8).left_out
    assert choose_parts(world(None), ALL, 8) == LeftOut()
    assert choose_parts(padded, ALL.replace(cost_model=False), 8) == LeftOut()
    assert choose_parts(world(LINEAR, Padded), ALL, 8) == LeftOut(), "calls of 8 episodes were not timed"
    for name in ("off", "bsa", "svg", "teacache"):
        assert choose_parts(padded, AccelConfig.preset(name), 8) == LeftOut()


def test_where_every_episode_is_computed_by_itself_all_parts_pay_at_any_number():
    found = [choose_parts(world(LINEAR), ALL, count) for count in (1, 8, 512)]
    assert found == [LeftOut()] * 3
    judged = judge_parts(world(LINEAR), ALL, 8)
    assert set(judged.milliseconds) == {(), ("context",), ("cache",), ("context", "cache")}
    assert judged.milliseconds[()] == pytest.approx(60.0), "20 latents, 4 steps"
    assert judged.milliseconds["context", "cache"] < judged.milliseconds["context",] < 45.0


def test_a_part_that_saves_nothing_is_left_out_and_named_without_a_number():
    steps_only = CostTable((2, 4), (CallTimes(1, LENGTHS, ((10.0, 20.0),) * 5),))
    assert choose_parts(world(steps_only), ALL, 8) == LeftOut(("context",), ("context",), "on this device")
    context_only = CostTable((2, 4), (CallTimes(1, LENGTHS, tuple((10.0 + c, 10.0 + c) for c in LENGTHS)),))
    assert choose_parts(world(context_only), ALL, 8) == LeftOut(("cache",), ("cache",), "on this device")


def test_contexts_of_two_lengths_cost_a_micro_batch_more():
    """Compare 8 environments, where `all` often needs two calls of 11 ms, with 256."""
    table = CostTable((2, 4), (flat(8, 0.1),))
    few, many = (judge_parts(world(table, Padded), ALL, count) for count in (8, 256))
    assert few.left_out == ("context", "cache")
    assert few.milliseconds["context", "cache"] > few.milliseconds[()] == pytest.approx(12.0)
    assert many.milliseconds[()] == pytest.approx(32 * 12.0)
    assert "context" not in many.left_out
    assert choose_parts(world(table, Padded), ALL, 8).where == "with 8 environments on this device"
    assert judge_parts(world(table, Padded), ALL, 8, scanned=True).left_out == (), "in scans all contexts are equal"


def test_attention_that_never_fires_is_no_part():
    spec = replace(SPEC, supports_block_sparse=True)
    slow = CallTimes(1, LENGTHS, tuple((100.0, 200.0) for _ in LENGTHS), ALL.decode_ratio, ALL.context_ratio)
    table = replace(LINEAR, calls=(*LINEAR.calls, slow))
    made = world(table)
    made.spec = replace(spec, sparse_min_context=21)
    assert judge_parts(made, ALL, 1).left_out == ()
    made.spec = replace(spec, sparse_min_context=4)
    assert judge_parts(made, ALL, 1).left_out == ("sparse",)


def test_searches_count_as_far_as_the_device_waits_for_them(monkeypatch: pytest.MonkeyPatch):
    plan = ChunkPlan(6, "explore", 0.0, tuple(range(12)), tuple(range(8)), SPEC.sigmas, AttentionPlan(), "")
    table = CostTable((2, 4), (CallTimes(8, (20,), ((1.0, 2.0),)),))
    monkeypatch.setattr(choice, "FIRST_MICRO_BATCH", 8)
    monkeypatch.setattr(choice, "PLANNER_MICRO_BATCH", 8)

    def time(device: str, count: int, searched: float) -> float:
        return choice._step_time(world(table, Padded, device), table, [plan], count, searched)

    assert time("cpu", 20, 0.5) == pytest.approx(20 * 0.5 + 3 * 2.0)
    # Planned at 4, 8 and 10 ms; the last micro-batch is not full.
    assert time("cuda", 20, 0.5) == pytest.approx(12.0)
    assert time("cuda", 20, 0.1) == pytest.approx(0.8 + 3 * 2.0)


def test_walks_are_planned_once_the_context_is_full():
    for place in ("open", "room"):
        off, whole = planned(SPEC, AccelConfig.preset("off"), place), planned(SPEC, ALL, place)
        assert len(off) == len(whole) == choice.WALKS * 8
        assert {plan.context_latents for plan in off} == {20}
        assert {plan.context_latents for plan in whole} == {8, 12}
        assert {plan.regime for plan in whole} == {"explore", "revisit"}
    (scanned,) = planned(SPEC, ALL, "scan")
    assert (scanned.context_latents, scanned.steps, len(scanned.views)) == (12, 2, 8)


@settings(deadline=None, max_examples=25)
@given(
    times=st.lists(st.floats(1.0, 50.0), min_size=10, max_size=10),
    plans=st.tuples(st.floats(0.0, 0.5), st.floats(0.0, 0.5)),
    count=st.sampled_from((1, 8, 20, 64)),
    device=st.sampled_from(("cpu", "cuda")),
)
def test_the_choice_is_never_slower_than_the_plain_model(times, plans, count, device):
    rows = tuple(map(tuple, np.array(times).reshape(5, 2).tolist()))
    table = CostTable((2, 4), (CallTimes(8, LENGTHS, rows),), *plans)
    made = world(table, Padded, device)
    judged = judge_parts(made, ALL, count)
    kept = tuple(part for part in ("context", "cache") if part not in judged.left_out)
    assert judged.milliseconds[kept] <= judged.milliseconds[()]
    assert judge_parts(made, ALL, count) == judged
