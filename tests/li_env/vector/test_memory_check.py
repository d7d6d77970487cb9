from __future__ import annotations

import pytest

from li_env.vector import memory_check
from tests.analytic_world import AnalyticWorld


def test_too_many_worlds_are_refused_with_the_largest_number_that_fits(monkeypatch):
    world = AnalyticWorld()
    one = memory_check.needed_bytes(world, 1, 64)
    assert one > 4 * 64 * 4 * 4 * 6 * 8 + 4 * 96 * 128 * 3, "history and frames at least"
    monkeypatch.setattr(memory_check, "free_memory", lambda device: int(5.5 * one / memory_check.USABLE))
    memory_check.check_memory(world, 5, 64)
    with pytest.raises(ValueError, match=r"num_envs=6 needs about .* GiB on cpu, .* free; allowed: 1 to 5$"):
        memory_check.check_memory(world, 6, 64)
    monkeypatch.setattr(memory_check, "free_memory", lambda device: one // 2)
    with pytest.raises(ValueError, match=r"num_envs=3 needs .*; allowed: none, the world is too large$"):
        memory_check.check_memory(world, 3, 64)


def test_what_the_world_needs_to_generate_counts():
    class Hungry(AnalyticWorld):
        def working_bytes(self, worlds: int) -> int:
            return 10**9 + worlds

    extra = memory_check.needed_bytes(Hungry(), 2, 64) - memory_check.needed_bytes(AnalyticWorld(), 2, 64)
    assert extra == 10**9 + 2


def test_longer_episodes_need_more():
    world = AnalyticWorld()
    assert memory_check.needed_bytes(world, 1, 128) > memory_check.needed_bytes(world, 1, 64)
    assert memory_check.needed_bytes(world, 1, None) == memory_check.needed_bytes(
        world, 1, memory_check.UNLIMITED_STEPS
    )
