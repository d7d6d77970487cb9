from __future__ import annotations

import json

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
