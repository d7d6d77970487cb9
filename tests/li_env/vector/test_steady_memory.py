"""Many worlds for a long time: what the process holds does not grow."""

from __future__ import annotations

import ctypes
import gc
import resource
from pathlib import Path

import numpy as np
from gymnasium.vector import AutoresetMode

from li_env.vector_env import LightInteractionVectorEnv
from tests.analytic_world import AnalyticWorld


def resident_mib() -> float:
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def test_ten_thousand_steps_with_random_resets_need_no_more_memory():
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
