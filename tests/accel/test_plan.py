from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from li_env.accel.plan import AttentionPlan, ChunkPlan, attention_density

PLAN = ChunkPlan(
    chunk=6,
    regime="revisit",
    similarity=0.75,
    temporal=(8, 9, 10, 11),
    memory=(0, 1),
    sigmas=(1.0, 0.6, 0.0),
    attention=AttentionPlan("block_sparse", 0.2, 0.3),
    reason="Because.",
)


def test_survives_json() -> None:
    assert ChunkPlan.from_dict(json.loads(json.dumps(PLAN.to_dict()))) == PLAN


def test_views_survive_json_and_older_plans_have_none() -> None:
    scanned = replace(PLAN, views=(7, 3))
    assert ChunkPlan.from_dict(json.loads(json.dumps(scanned.to_dict()))) == scanned
    assert scanned.context == PLAN.context and scanned.context_latents == 8
    old = PLAN.to_dict()
    del old["views"]
    assert ChunkPlan.from_dict(old) == PLAN
    with pytest.raises(ValueError, match=r"views=-1 is not allowed"):
        ChunkPlan.from_dict({**PLAN.to_dict(), "views": [-1]})


def test_context_is_sorted_and_steps_count_model_calls() -> None:
    assert PLAN.context == (0, 1, 8, 9, 10, 11)
    assert PLAN.steps == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("sigmas"), "plan: key 'sigmas' is missing; needed: chunk, regime"),
        (lambda data: data.update(steps=2), "plan: unknown key 'steps'; allowed: chunk, regime"),
        (lambda data: data["attention"].update(heads=2), "attention: unknown key 'heads'; allowed: kind"),
        (lambda data: data.update(attention="dense"), "attention: 'dense' is not a mapping"),
    ],
)
def test_stored_plans_are_checked(change: Callable[[dict[str, Any]], Any], message: str) -> None:
    data = PLAN.to_dict()
    change(data)
    with pytest.raises(ValueError, match=f"^{message}"):
        ChunkPlan.from_dict(data)


def test_attention_of_older_plans_gets_defaults() -> None:
    data = PLAN.to_dict()
    del data["attention"]["dense_first_block"]
    assert ChunkPlan.from_dict(data) == PLAN


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temporal", None), ("temporal", 3), ("temporal", "0123"), ("temporal", {"0": 1}), ("temporal", [0.5]),
        ("temporal", [True]), ("temporal", [-1]), ("temporal", [0] * 200_000), ("memory", 3), ("memory", ["a"]),
        ("memory", [[1]]), ("memory", [None]), ("sigmas", 1.0), ("sigmas", ["1"]), ("sigmas", [float("nan")]),
        ("sigmas", [10**400]), ("slots", [1]), ("slots", [["a", "b"]]), ("slots", [[1]]), ("slots", [[1, 2, 3]]),
        ("slots", "ab"), ("slots", [[1.5, 2]]), ("chunk", "1"), ("chunk", -1), ("chunk", True), ("chunk", None),
        ("similarity", "high"), ("similarity", float("nan")), ("regime", 3), ("reason", ["x"]),
        ("attention", None), ("attention", []), ("attention", {"kind": 3}), ("attention", {"kind": "dense", "x": 1}),
        ("attention", {"decode_ratio": "1"}), ("attention", {"decode_ratio": 0}),
        ("attention", {"context_ratio": float("inf")}), ("attention", {"dense_first_block": 1}),
    ],
)  # fmt: skip
def test_a_stored_plan_with_a_value_of_another_type_is_refused_in_one_line(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=key) as caught:
        ChunkPlan.from_dict({**PLAN.to_dict(), key: value})
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


def test_attention_density() -> None:
    """Count by hand: 20 context latents, 4 new latents, 2 steps; dense 400 + 2 * (80 + 16) = 592 pairs."""
    plan = ChunkPlan(
        9, "explore", 0.0, tuple(range(20, 40)), (), (1.0, 0.5, 0.0), AttentionPlan("block_sparse", 0.25, 0.5), "Why."
    )
    assert attention_density(plan, 4) == pytest.approx((200 + 2 * (20 + 16)) / 592)
    assert attention_density(replace(plan, attention=AttentionPlan()), 4) == 1.0
    assert attention_density(replace(plan, temporal=()), 4) == 1.0
