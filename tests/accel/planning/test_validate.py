from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.planning.validate import check_plans, stored_plans
from tests.analytic_world import SPEC

PLAN = ChunkPlan(5, "explore", 0.5, (16, 17, 18, 19), (0, 1, 2, 3), SPEC.sigmas, AttentionPlan(), "Why.")
FIRST = ChunkPlan(0, "warmup", 0.0, (), (), SPEC.sigmas, AttentionPlan(), "The start.")


def test_views_must_be_in_the_scan_and_in_the_budget() -> None:
    check_plans([replace(PLAN, views=(7, 0, 3))], SPEC, [(5, 20)], [8])
    check_plans([replace(FIRST, views=tuple(range(20)))], SPEC, [(0, 0)], [20])
    for views, count, message in (
        ((8,), 8, r"plans\[0\].views: \(8,\) is not allowed; use different views from 0 to 7"),
        ((1, 1), 8, r"views: .* use different views from 0 to 7"),
        ((0,), 0, r"views: .* use none, the episode has no scan"),
        (tuple(range(13)), 40, r"memory: .* use at most 20 context latents in all"),
    ):
        with pytest.raises(ValueError, match=message):
            check_plans([replace(PLAN, views=views)], SPEC, [(5, 20)], [count])
    with pytest.raises(ValueError, match=r"views: .* has no scan"):
        check_plans([replace(PLAN, views=(0,))], SPEC, [(5, 20)])


def test_fitting_plans_pass() -> None:
    check_plans([PLAN, FIRST], SPEC, [(5, 20), (0, 0)])
    check_plans([replace(PLAN, memory=(), sigmas=(1.0, 0.4, 0.0))], SPEC, [(5, 20)])
    sparse = replace(PLAN, attention=AttentionPlan("block_sparse", 0.1, 1.0))
    check_plans([sparse], replace(SPEC, supports_block_sparse=True), [(5, 20)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chunk": 4}, r"chunk: 4 is not allowed; use 5, the chunk to make next"),
        ({"regime": "rest"}, r"regime: 'rest' is not allowed; use warmup or explore or revisit"),
        ({"temporal": ()}, r"temporal: \(\) is not allowed; use 1 or more .* newest of 20"),
        ({"temporal": (15, 16, 17, 18)}, r"temporal: "),
        ({"temporal": (16, 18, 17, 19)}, r"temporal: "),
        ({"temporal": tuple(range(-1, 20))}, r"temporal: "),
        ({"memory": (3, 2)}, r"memory: \(3, 2\) is not allowed; use increasing latents from 0 to below 16"),
        ({"memory": (0, 0)}, r"memory: "),
        ({"memory": (0, 16)}, r"memory: "),
        ({"memory": (-1,)}, r"memory: "),
        ({"sigmas": (1.0,)}, r"sigmas: "),
        ({"sigmas": (0.9, 0.0)}, r"sigmas: .* use decreasing noise levels from 1.0 to 0"),
        ({"sigmas": (1.0, 0.2)}, r"sigmas: "),
        ({"sigmas": (1.0, 0.5, 0.5, 0.0)}, r"sigmas: "),
        ({"attention": AttentionPlan("block_sparse", 0.5, 0.5)}, r"attention: 'block_sparse' .* use dense, all that"),
        ({"attention": AttentionPlan("dense", 0.0, 1.0)}, r"attention: \(0.0, 1.0\) .* above 0 and at most 1"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    plan = replace(PLAN, **changes)
    with pytest.raises(ValueError, match=rf"^plans\[1\]\.{message}") as error:
        check_plans([FIRST, plan], SPEC, [(0, 0), (5, 20)])
    assert "\n" not in str(error.value)


def test_context_within_the_budget() -> None:
    plan = replace(PLAN, chunk=10, temporal=tuple(range(28, 40)), memory=tuple(range(9)))
    with pytest.raises(ValueError, match=r"^plans\[0\]\.memory: .* at most 20 context latents in all"):
        check_plans([plan], SPEC, [(10, 40)])


def test_one_plan_per_state() -> None:
    with pytest.raises(ValueError, match=r"^plans: 1 given for 2 states"):
        check_plans([PLAN], SPEC, [(5, 20), (5, 20)])


def test_plans_of_a_report() -> None:
    report = {"chunks": [{**FIRST.to_dict(), "steps": 4, "frames": 4}, {**PLAN.to_dict(), "steps": 4}]}
    assert stored_plans(report) == [FIRST, PLAN]
    with pytest.raises(ValueError, match=r"^chunks: None is not allowed"):
        stored_plans({})
    with pytest.raises(ValueError, match=r"^chunks\[0\]: plan: key 'sigmas' is missing"):
        stored_plans({"chunks": [{key: value for key, value in PLAN.to_dict().items() if key != "sigmas"}]})
