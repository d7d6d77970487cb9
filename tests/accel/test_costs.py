"""Cost tables: what they say between the times that were measured, and how they are stored."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from li_env.accel.costs import CallTimes, CostTable, tables_from
from li_env.accel.plan import AttentionPlan, ChunkPlan

SPARSE = AttentionPlan("block_sparse", 0.2, 0.3)
TABLE = CostTable(
    steps=(2, 4),
    calls=(
        CallTimes(1, (4, 20), ((10.0, 20.0), (30.0, 60.0))),
        CallTimes(1, (12, 20), ((5.0, 8.0), (6.0, 9.0)), 0.2, 0.3),
        CallTimes(8, (4, 20), ((11.0, 21.0), (31.0, 61.0))),
    ),
    plain_plan=0.5,
    coverage_plan=0.25,
)
PLAN = ChunkPlan(6, "explore", 0.0, tuple(range(12, 24)), (0, 1, 2, 3), (1.0, 0.5, 0.25, 0.1, 0.0), AttentionPlan(), "")


def test_times_between_those_measured_are_interpolated():
    short, long = replace(PLAN, memory=(), temporal=(20, 21, 22, 23)), replace(PLAN, memory=tuple(range(8)))
    assert TABLE.call(1, short, 4) == 20.0
    assert TABLE.call(1, long, 2) == 30.0
    assert TABLE.call(1, PLAN, 4) == pytest.approx(50.0)  # 16 of 4 to 20 latents
    assert TABLE.call(8, PLAN, 3) == pytest.approx((26.0 + 51.0) / 2)
    assert TABLE.call(1, replace(PLAN, memory=(), temporal=(23,)), 4) == 20.0, "below the shortest: as the shortest"


def test_a_latent_in_two_slots_counts_twice():
    slots = replace(PLAN, memory=(1,), temporal=tuple(range(20, 24)), slots=((1, 3), (1, 1), (1, 0)))
    assert TABLE.call(1, slots, 4) == pytest.approx(20.0 + 40.0 * 3 / 16)


def test_attention_that_was_not_timed_counts_as_dense():
    assert TABLE.call(1, replace(PLAN, attention=SPARSE), 4) == pytest.approx(8.5)
    for other in (AttentionPlan("block_sparse", 0.1, 0.3), AttentionPlan("svg", band_width=2.0)):
        assert TABLE.call(1, replace(PLAN, attention=other), 4) == pytest.approx(50.0)
    assert TABLE.call(8, replace(PLAN, attention=SPARSE), 4) == pytest.approx(51.0)
    assert [TABLE.knows(size) for size in (1, 8, 32)] == [True, True, False]


def test_a_stored_table_is_equal():
    stored = json.loads(json.dumps({"a GPU": TABLE.to_dict()}))
    assert tables_from("costs", stored) == {"a GPU": TABLE}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("steps",), [4, 2], "here.gpu.steps=[4, 2] is not allowed; use increasing numbers"),
        (("steps",), None, "here.gpu.steps=None is not allowed; use a list of 1 to"),
        (("speed",), 1, "here.gpu key='speed' is unknown"),
        (("plain_plan",), -1, "here.gpu.plain_plan=-1 is not allowed"),
        (("calls",), [], "here.gpu.calls=[] is not allowed"),
        (("calls", 0, "episodes"), 0, "here.gpu.calls[0].episodes=0 is not allowed"),
        (("calls", 1, "milliseconds"), [[1.0, 2.0]], "here.gpu.calls[1].milliseconds="),
        (("calls", 1, "milliseconds"), [[1.0, 2.0], [1.0, 0]], "here.gpu.calls[1].milliseconds=0 is not allowed"),
        (("calls", 1, "decode_ratio"), 1.5, "here.gpu.calls[1].decode_ratio=1.5 is not allowed"),
        (("calls", 2), 7, "here.gpu.calls[2]=7 is not allowed"),
    ],
)
def test_damaged_tables_are_named(path: tuple[Any, ...], value: Any, message: str):
    stored: Any = json.loads(json.dumps(TABLE.to_dict()))
    part = stored
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    with pytest.raises(ValueError) as caught:
        tables_from("here", {"gpu": stored})
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
