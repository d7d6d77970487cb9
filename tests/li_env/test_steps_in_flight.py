"""A step in two parts: what it returns, and what is refused between them."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.error import AlreadyPendingCallError, NoAsyncCallError, ResetNeeded
from gymnasium.vector import AutoresetMode

from li_env.vector_env import LightInteractionVectorEnv
from tests.analytic_world import AnalyticWorld

STEPS = 6


def make(num_envs: int, world: AnalyticWorld, mode: AutoresetMode) -> LightInteractionVectorEnv:
    return LightInteractionVectorEnv(
        num_envs, max_episode_steps=4, autoreset_mode=mode, world=world, task="pointgoal", preset="all",
        observation="frame",
    )  # fmt: skip


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_two_halves_in_flight_equal_one_environment_that_steps(mode):
    world, path = AnalyticWorld(), np.random.default_rng(0).integers(0, 10, (STEPS, 5))
    whole, halves, rows = make(5, world, mode), [make(3, world, mode), make(2, world, mode)], [slice(0, 3), slice(3, 5)]
    expected = [whole.reset(seed=7)[0]]
    found = [[half.reset(seed=7 + own.start)[0]] for half, own in zip(halves, rows, strict=True)]
    expected += [(*whole.step(actions), whole.plans) for actions in path]
    for step, actions in enumerate(path):
        for half, own, outcomes in zip(halves, rows, found, strict=True):
            if step:
                outcomes.append((*half.step_wait(), half.plans))
            half.step_async(actions[own])
    for half, outcomes in zip(halves, found, strict=True):
        outcomes.append((*half.step_wait(), half.plans))
    assert any(outcome[2].any() for outcome in expected[1:]) and any(outcome[3].any() for outcome in expected[1:])
    for own, outcomes in zip(rows, found, strict=True):
        for ours, theirs in zip(outcomes[1:], expected[1:], strict=True):
            for name, observed in theirs[0].items():
                np.testing.assert_array_equal(ours[0][name], observed[own])
            for number in (1, 2, 3):
                np.testing.assert_array_equal(ours[number], theirs[number][own])
            np.testing.assert_array_equal(ours[4]["similarity"], theirs[4]["similarity"][own])
            assert ours[5] == theirs[5][own]


def test_nothing_is_asked_of_an_environment_whose_step_is_begun():
    env = make(2, AnalyticWorld(), AutoresetMode.DISABLED)
    with pytest.raises(ResetNeeded):
        env.step_async([1, 1])
    env.reset(seed=0)
    with pytest.raises(NoAsyncCallError, match=r"no step is begun: call step_async\(\) first"):
        env.step_wait()
    states = env.save_state()
    with pytest.raises(ValueError, match="action"):
        env.step_async([1, 99])
    env.step_async([1, 1])
    for call in (
        env.reset,
        lambda: env.step([1, 1]),
        lambda: env.step_async([1, 1]),
        env.save_state,
        lambda: env.restore_state(states),
        lambda: env.fork(0, 1),
        lambda: env.plans,
    ):
        with pytest.raises(AlreadyPendingCallError, match=r"a step is begun: call step_wait\(\) first"):
            call()
    assert env.simulate(states, [1, 1])[0][0].steps == 1
    env.step_wait()
    assert [state.steps for state in env.save_state()] == [1, 1]


def test_a_step_that_fails_is_not_begun(monkeypatch):
    env = make(2, AnalyticWorld(), AutoresetMode.NEXT_STEP)
    env.reset(seed=0)
    with monkeypatch.context() as patch:
        patch.setattr(AnalyticWorld, "generate", lambda *_: [])
        with pytest.raises(ValueError, match="made 0 tensors of latents for 2 episodes"):
            env.step_async([1, 1])
    env.step([1, 1])


def test_closing_forgets_a_step_that_is_begun():
    env = make(2, AnalyticWorld(), AutoresetMode.NEXT_STEP)
    env.reset(seed=0)
    env.step_async([1, 1])
    env.close()
    with pytest.raises(NoAsyncCallError):
        env.step_wait()
