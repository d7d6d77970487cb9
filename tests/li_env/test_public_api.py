"""The public names of the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

import li_env
from li_env import Action, LightInteractionEnv, LightInteractionVectorEnv, tools
from li_env.actions import DISCRETE_ACTIONS
from tests.analytic_world import AnalyticWorld

ROOT = Path(__file__).parents[2]


def test_at_most_twenty_names_each_documented():
    assert len(li_env.__all__) <= 20
    assert li_env.__all__ == sorted(li_env.__all__, key=lambda name: (name[0].islower(), name))
    for name in li_env.__all__:
        assert (getattr(li_env, name).__doc__ or "").strip(), name
    modules = {path.stem for path in (ROOT / "li_env").iterdir()}
    shadowed = {name for name in modules & set(li_env.__all__) if not isinstance(getattr(li_env, name), ModuleType)}
    assert not shadowed, "a name that a module has too would be shadowed by it"


def test_tools_are_documented_and_the_same_from_everywhere():
    assert li_env.tools.__all__ == sorted(tools.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name))
    for name in tools.__all__:
        assert name in ("CHOICES", "RETRIEVAL_POLICIES") or (getattr(tools, name).__doc__ or "").strip(), name
    assert not set(tools.__all__) & set(li_env.__all__), "a name has one place"


def test_importing_all_names_works_and_a_plain_import_loads_no_torch():
    code = "import sys, li_env; assert 'torch' not in sys.modules; from li_env import *; assert LightInteractionEnv"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        li_env.nothing  # noqa: B018


def test_the_actions_are_those_of_the_discrete_space():
    assert [action.name.lower() for action in Action] == list(DISCRETE_ACTIONS)
    env = LightInteractionEnv(AnalyticWorld(), task="pointgoal")
    assert env.stop_action == env.action_space.n - 1
    assert LightInteractionEnv(AnalyticWorld()).stop_action is None
    held = LightInteractionEnv(AnalyticWorld(), task="pointgoal", action_space="continuous")
    env.reset(seed=0)
    held.reset(seed=0)
    assert env.step(env.stop_action)[2]
    assert held.step(held.stop_action)[2]


@pytest.mark.parametrize("many", [False, True])
def test_simulated_steps_are_the_steps_that_would_be_made(many):
    world = AnalyticWorld()
    env = LightInteractionVectorEnv(2, max_episode_steps=3, world=world) if many else LightInteractionEnv(world)
    env.reset(seed=0)
    start = env.save_state()[0] if many else env.save_state()
    actions = [Action.FORWARD, Action.TURN_LEFT, Action.STILL]
    states, rewards, terminations, truncations = env.simulate([start] * 3, actions)
    assert rewards.shape == terminations.shape == truncations.shape == (3,)
    assert (rewards.dtype, terminations.dtype, truncations.dtype) == (np.float64, np.bool_, np.bool_)
    state = env.save_state()[0] if many else env.save_state()
    assert state is start, "the environment stays where it is"
    for state, reward, action in zip(states, rewards, actions, strict=True):
        env.restore_state([start] * 2 if many else start)
        observation, real, *_ = env.step([action] * 2 if many else action)
        np.testing.assert_array_equal(observation[0] if many else observation, np.asarray(state.frames))
        assert reward == (real[0] if many else real)
    assert not truncations.any()
    if many:
        two = env.simulate(env.simulate(states, actions)[0], actions)
        assert two[3].all(), "three steps are the limit"
    with pytest.raises(ValueError, match="actions: 1 given for 3 states"):
        env.simulate([start] * 3, actions[:1])
    with pytest.raises(ValueError, match="state=int is not usable"):
        env.simulate([3], actions[:1])


def test_a_finished_episode_cannot_be_simulated():
    env = LightInteractionEnv(AnalyticWorld(), task="pointgoal")
    env.reset(seed=0)
    (over,), *_ = env.simulate([env.save_state()], [env.stop_action])
    with pytest.raises(ResetNeeded):
        env.simulate([over], [Action.FORWARD])
