"""Cost tables where micro-batches hold several episodes."""

from __future__ import annotations

import pytest
import torch

from li_env.accel.costs import CallTimes, CostTable
from li_env.evaluation.calibration.cost import measure_cost
from li_env.vector_env import LightInteractionVectorEnv
from li_env.worlds.registry import load_world

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

LENGTHS = (4, 8, 12, 16, 20)


def test_every_size_of_micro_batch_is_timed() -> None:
    world = load_world("freedoom", device="cuda")
    table, repeats = measure_cost(world, num_envs=(1, 8, 32, 128, 512), repeats=2)
    assert repeats == 2 and [each.episodes for each in table.calls] == [8, 32, 64]
    for each in table.calls:
        assert each.contexts == LENGTHS
        assert each.milliseconds[-1][-1] > each.milliseconds[0][0] > 0


def test_with_everything_left_out_frames_are_those_of_the_plain_model() -> None:
    """Let calls take equally long for any context: with 8 envs no part pays then, and every bit is that of `off`."""
    world = load_world("freedoom", device="cuda")
    before, world.costs = world.costs, CostTable((2, 4), (CallTimes(8, LENGTHS, ((9.0, 9.0),) * 5),))
    try:
        frames = []
        for preset in ("off", "all"):
            env = LightInteractionVectorEnv(8, world=world, preset=preset, device_obs=True, plan_info=True)
            env.reset(seed=0)
            steps = [env.step([(index + step) % 9 for index in range(8)]) for step in range(8)]
            frames.append(torch.stack([step[0] for step in steps]))
        assert steps[-1][4]["plan"]["reason"][0].endswith("save no time with 8 environments on this device.")
        assert torch.equal(*frames)
    finally:
        world.costs = before
