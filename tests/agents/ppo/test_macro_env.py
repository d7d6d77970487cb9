from __future__ import annotations

import gc

import numpy as np
import pytest
import torch

from li_env.agents.macro_actions import MacroActions
from li_env.agents.ppo.action_history import HISTORY, add_action, add_bump, empty_history
from li_env.agents.ppo.macro_env import MacroActionEnvs
from li_env.agents.ppo.networks import GAINS
from li_env.agents.ppo.policy import build_policy
from li_env.agents.ppo.rollout import Collector
from li_env.vector_env import LightInteractionVectorEnv
from tests.analytic_world import AnalyticWorld


def open_envs(**settings) -> MacroActionEnvs:
    inner = LightInteractionVectorEnv(
        2,
        max_episode_steps=3,
        autoreset_mode="Disabled",
        device_obs=True,
        world=AnalyticWorld(),
        action_space="continuous",
        observation="frame",
        task="pointgoal",
    )
    return MacroActionEnvs(inner, MacroActions(inner.single_action_space, True), torch.device("cpu"), **settings)


def test_what_ppo_sees_is_what_the_agent_sees_later():
    """Compare the history in the vector environment with the one of `PolicyAgent`."""
    envs = open_envs()
    macro_actions = MacroActions(envs.env.single_action_space, True)
    shown = envs.reset(0)
    histories, bumps = [empty_history(macro_actions)] * 2, []
    for number, choices in enumerate(([0, 4], [0, 1], [0, 2], [0, 0])):
        before = [{"pointgoal": shown["pointgoal"][row].numpy()} for row in range(2)]
        step = envs.step(torch.tensor(choices))
        blocked = step.infos["blocked"].tolist()
        made = [add_action(*triple) for triple in zip(histories, before, choices, strict=True)]
        histories = [add_bump(history, bump) for history, bump in zip(made, blocked, strict=True)]
        bumps += blocked
        np.testing.assert_allclose(step.bumps, blocked)
        np.testing.assert_allclose(step.observations[HISTORY], [each.ravel() for each in histories], atol=1e-6)
        assert step.ended.all() == (number == 2)
        assert not step.terminated.any()
        shown = step.observations
        if number == 2:
            shown = envs.restart(np.array([True, True]))
            histories = [empty_history(macro_actions)] * 2
            assert not shown[HISTORY].any()
    assert max(bumps) > 0.3


def test_stop_ends_one_episode_and_the_other_goes_on():
    envs = open_envs()
    envs.reset(0)
    step = envs.step(torch.tensor([8, 1]))
    assert step.terminated.tolist() == step.ended.tolist() == [True, False]
    goals = step.observations["pointgoal"]
    shown = envs.restart(np.array([True, False]))
    assert torch.equal(shown["pointgoal"][1], goals[1])
    assert not torch.equal(shown["pointgoal"][0], goals[0])
    assert not shown[HISTORY][0].any() and shown[HISTORY][1].any()


def test_colours_change_from_episode_to_episode_only():
    envs = open_envs(colours=0.3)
    first = envs.reset(0)[GAINS]
    assert ((first - 1).abs() <= 0.3).all() and (first != 1).any()
    assert torch.equal(envs.step(torch.tensor([0, 0])).observations[GAINS], first)
    second = envs.restart(np.array([False, True]))[GAINS]
    assert torch.equal(second[0], first[0]) and not torch.equal(second[1], first[1])


@pytest.mark.parametrize("seed", [0, 1])
def test_a_seed_says_everything(seed):
    first, second = (open_envs(colours=0.2).reset(seed) for _ in range(2))
    assert all(torch.equal(each, second[name]) for name, each in first.items())


def test_the_garbage_collector_comes_back_after_a_rollout(monkeypatch):
    envs, seen = open_envs(), []
    net = build_policy(envs.env.single_observation_space, MacroActions(envs.env.single_action_space, True))
    collector = Collector(net, [envs], 0.97, 0.95, 0.1)
    collector.begin(0)
    monkeypatch.setattr(envs, "step_wait", lambda: seen.append(gc.isenabled()) or MacroActionEnvs.step_wait(envs))
    collector.collect(2, torch.Generator())
    assert seen == [False, False] and gc.isenabled()
    monkeypatch.setattr(envs, "step_wait", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        collector.collect(2, torch.Generator())
    assert gc.isenabled()
