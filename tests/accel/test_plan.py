from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from li_env.accel.plan import AttentionPlan, ChunkPlan

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
