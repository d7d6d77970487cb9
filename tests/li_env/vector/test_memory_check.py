from __future__ import annotations

import numpy as np
import pytest
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.view_bank import ViewBank
from li_env.vector import memory_check
from li_env.vector_env import LightInteractionVectorEnv
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


SHARING = AccelConfig(reuse_context=0.5)


def test_work_that_chunks_keep_counts_twice_where_settings_share_it():
    class Keeping(AnalyticWorld):
        def kept_bytes(self) -> int:
            return 10**6

    plain = memory_check.needed_bytes(Keeping(), 3, 64)
    assert plain == memory_check.needed_bytes(Keeping(), 3, 64, AccelConfig())
    for config in (SHARING, AccelConfig(reuse_blocks=0.1), AccelConfig(worlds={"analytic": {"reuse_blocks": 0.1}})):
        assert memory_check.needed_bytes(Keeping(), 3, 64, config) - plain == 3 * 2 * 10**6


def test_views_of_scans_count_once_and_are_already_there(monkeypatch):
    world = AnalyticWorld()
    bank = ViewBank(torch.zeros(100, 4, 6, 8), np.tile(np.eye(4), (100, 1, 1)), 8.0)
    assert memory_check.bank_bytes([bank, bank]) == 100 * 4 * 6 * 8 * 4
    one = memory_check.needed_bytes(world, 1, 64)
    monkeypatch.setattr(memory_check, "free_memory", lambda device: int(2.5 * one / memory_check.USABLE))
    memory_check.check_memory(world, 2, 64, None, [bank])
    with pytest.raises(ValueError, match=r"^num_envs=4 needs .* allowed: 1 to 2$") as caught:
        memory_check.check_memory(world, 4, 64, None, [bank] * 9)
    needed = f"{(4 * one + bank.nbytes) / 2**30:.1f} GiB"
    assert needed in str(caught.value)


def test_an_environment_is_checked_with_its_settings_and_scans(monkeypatch):
    seen = []
    monkeypatch.setattr("li_env.vector_env.check_memory", lambda *arguments: seen.append(arguments))
    env = LightInteractionVectorEnv(2, world=AnalyticWorld(), preset="off", max_episode_steps=5)
    assert seen == [(env.world, 2, 5, AccelConfig.preset("off"), [])]
