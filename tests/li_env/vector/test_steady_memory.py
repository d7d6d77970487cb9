"""Many worlds for a long time: what the process holds does not grow."""

from __future__ import annotations

import numpy as np
from gymnasium.vector import AutoresetMode

from li_env.vector_env import LightInteractionVectorEnv
from tests.analytic_world import AnalyticWorld
from tests.benchmark_scripts import benchmark_script


def test_ten_thousand_steps_with_random_resets_need_no_more_memory():
    with benchmark_script("on_device") as script:
        resident_mib = script.resident_mib
    world = AnalyticWorld()
    env = LightInteractionVectorEnv(10, world=world, max_episode_steps=20, autoreset_mode=AutoresetMode.SAME_STEP)
    draws = np.random.default_rng(0)
    env.reset(seed=0)
    memory = []
    for step in range(1000):  # of ten worlds
        env.step(draws.integers(0, 9, 10))
        if draws.random() < 0.2:
            env.reset(options={"reset_mask": np.arange(10) == draws.integers(10)})
        if step in (300, 999):
            memory.append(resident_mib())
    # One step's frames take 1.4 MiB, one kept history of all worlds 0.3 MiB.
    assert memory[1] < memory[0] + 8, memory
