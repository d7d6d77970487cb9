from __future__ import annotations

import torch

from li_env.evaluation.bench.run import paths_of
from li_env.evaluation.bench.settings import BenchSettings
from li_env.evaluation.paper.operators import operator_times
from li_env.evaluation.paper.steps import step_changes
from tests.analytic_world import AnalyticWorld
from tests.narrow_freedoom import narrow_freedoom

SETTINGS = BenchSettings(presets=("off",), trajectories=("left-right",), seeds=(0,), chunks=5, batch=1)


def test_changes_of_consecutive_steps_by_regime():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    world = narrow_freedoom()
    changes = step_changes(world, paths_of(world, SETTINGS, game=False))
    torch.set_num_threads(before)
    chunks = changes["explore"] + changes["revisit"]
    assert len(chunks) == SETTINGS.chunks - 3
    assert all(len(chunk) == 3 and all(0 < value < 1 for value in chunk) for chunk in chunks)
    assert not world.step_output._forward_hooks


def test_a_world_without_step_outputs_gives_nothing():
    assert step_changes(AnalyticWorld(), []) == {"explore": [], "revisit": []}


def test_operators_are_timed_and_fused_only_where_fused_kernels_run():
    times = operator_times(AnalyticWorld())
    assert set(times) == {"update and norm", "split branches", "join branches"}
    assert all(set(each) == {"unfused"} and each["unfused"] > 0 for each in times.values())
