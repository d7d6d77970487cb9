from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from li_env.accel.costs import CostTable
from li_env.accel.world import ChunkRequest
from li_env.evaluation.calibration import cost
from li_env.evaluation.calibration.cost import cells_of, measure_cost
from li_env.worlds.freedoom.batching import micro_batch_size
from li_env.worlds.hy_worldplay.build import random_world as random_hy
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from li_env.worlds.matrix_game_3.build import random_world as random_matrix_game
from li_env.worlds.matrix_game_3.time_axis import ClipSizes
from tests.analytic_world import SPEC, AnalyticWorld
from tests.li_env.worlds.matrix_game_3.test_world import SMALL

CPU = torch.device("cpu")
TINY = HYWorldPlayConfig(4, 64, 2, 2, 2.0, (8, 12, 12), text_width=8, vision_width=8, byt5_widths=(8, 8, 8))


class Listed(AnalyticWorld):
    """World that notes what it was asked for."""

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.asked: list[list[ChunkRequest]] = []

    def micro_batch(self, num_envs: int) -> int:
        return micro_batch_size(num_envs, torch.device("cuda"))

    def generate(self, requests):
        self.asked.append(list(requests))
        return super().generate(requests)


def test_every_size_context_and_schedule_is_timed_taking_turns():
    world, calls = Listed(), []
    table, repeats = measure_cost(world, num_envs=(1, 8, 20, 32), repeats=2, on_call=lambda: calls.append(1))
    assert repeats == 2
    assert table.steps == (2, 4)
    assert [(each.episodes, each.contexts) for each in table.calls] == [
        (8, (4, 8, 12, 16, 20)),
        (32, (4, 8, 12, 16, 20)),
    ]
    assert table.plain_plan > 0 < table.coverage_plan
    assert len(calls) == len(world.asked) == 3 * 2 * 5 * 2
    asked = [(len(each), len(each[0].context), each[0].plan.steps) for each in world.asked]
    assert asked[20:40] == [*asked[1:20], asked[0]], "another cell begins in every repeat"
    assert CostTable.from_dict("", table.to_dict()) == table
    for first, *_ in world.asked:
        assert first.plan.context_latents == len(first.context) == len(first.context_poses)
        np.testing.assert_array_equal(first.context_poses[0, :3, 3], np.zeros(3))


def test_the_table_has_medians_without_the_first_repeat(monkeypatch: pytest.MonkeyPatch):
    times = iter([99.0] * 10 + [1.0] * 10 + [5.0] * 10 + [2.0] * 10)
    monkeypatch.setattr(cost, "_timed", lambda *_: next(times))
    table, repeats = measure_cost(AnalyticWorld(), repeats=3)
    assert repeats == 3 and {value for row in table.calls[0].milliseconds for value in row} == {2.0}


def test_no_repeat_begins_after_the_limit():
    world = Listed()
    _, repeats = measure_cost(world, num_envs=(1,), repeats=5, max_seconds=0.0)
    assert repeats == 1 and len(world.asked) == 2 * 10


def test_sparse_attention_is_timed_where_it_may_fire():
    world = random_hy(TINY, CPU, (4, 4))
    table, _ = measure_cost(world, num_envs=(1, 64), repeats=1)
    dense, sparse = table.calls
    assert dense.dense and dense.contexts == sparse.contexts == (4, 8, 12, 16, 20)
    assert (sparse.decode_ratio, sparse.context_ratio) == (0.175, 0.3)
    small = AnalyticWorld(spec=replace(SPEC, supports_block_sparse=True, sparse_min_context=21))
    assert {cell.attention.kind for cell in cells_of(small, "sparse", (1,))} == {"dense"}


def test_a_world_with_slots_is_timed():
    world = random_matrix_game(CPU, SMALL, (4, 8), ClipSizes(25, 16))
    table, _ = measure_cost(world, num_envs=(1,), repeats=1)
    assert table.steps == (2, 3) and table.knows(1)
    assert table.calls[0].contexts[-1] == world.spec.context_latents


def test_a_world_without_start_frames_is_named():
    world = AnalyticWorld()
    world.start_views = replace(world.start_views, images=())
    with pytest.raises(ValueError, match="world='analytic' has no start frames"):
        measure_cost(world)
