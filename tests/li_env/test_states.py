"""Going back: what a saved state brings along, and where it may be restored."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.wrappers import TimeLimit

import li_env  # noqa: F401  (registers the ids)
from li_env import EpisodeState
from li_env import state as state_module
from li_env.env import LightInteractionEnv
from li_env.frames import episode_frames
from li_env.tasks import Explore
from li_env.vector_env import LightInteractionVectorEnv
from tests.analytic_world import AnalyticWorld

STILL, FORWARD = 0, 1
EXPLORE = "LightInteraction/Explore-v0"


def make(**kwargs: Any) -> gymnasium.Env:
    return gymnasium.make(EXPLORE, world=AnalyticWorld(), observation="frame", **kwargs)


def steps_until_cut(env: gymnasium.Env, most: int = 9) -> int:
    for count in range(1, most + 1):
        if env.step(STILL)[3]:
            return count
    return -1


@pytest.mark.parametrize("wrap", ["make", "by hand", "twice"])
def test_a_time_limit_counts_on_from_the_restored_moment(wrap):
    if wrap == "by hand":
        env = TimeLimit(LightInteractionEnv(AnalyticWorld(), observation="frame"), 4)
    else:
        env = make(max_episode_steps=4)
    if wrap == "twice":
        env = TimeLimit(gymnasium.wrappers.TransformReward(env, float), 3)
    limit, inner = (3 if wrap == "twice" else 4), env.unwrapped
    env.reset(seed=0)
    start = inner.save_state()
    env.step(FORWARD)
    one = inner.save_state()
    for state, left in ((start, limit), (one, limit - 1), (start, limit), (one, limit - 1)):
        inner.restore_state(state)
        assert inner.save_state().steps == state.steps
        assert steps_until_cut(env) == left
    env.reset(seed=0)
    assert steps_until_cut(env) == limit
    inner.restore_state(one)
    env.reset(seed=0)
    assert steps_until_cut(env) == limit, "a reset forgets the restored state"


def test_a_wrong_action_after_restoring_changes_no_time_limit():
    env = make(max_episode_steps=2)
    env.reset(seed=0)
    start = env.unwrapped.save_state()
    env.step(STILL)
    env.unwrapped.restore_state(start)
    with pytest.raises(ValueError, match="action=99"):
        env.unwrapped.step(99)
    assert steps_until_cut(env) == 2


def test_a_reset_at_a_state_begins_an_episode_there():
    env = make(max_episode_steps=3)
    env.reset(seed=0)
    for _ in range(2):
        env.step(FORWARD)
    state = env.unwrapped.save_state()
    frame, info = env.reset(options={"state": state})
    assert (info["new_frames"], info["chunk"], env.unwrapped.plan) == (1, 2, None)
    np.testing.assert_array_equal(frame, state.frames[-1])
    (record,) = episode_frames([env.unwrapped.save_state()])
    np.testing.assert_array_equal(record.frame, frame)
    assert record.action is None
    assert steps_until_cut(env) == 3


@pytest.mark.parametrize("task", ["pointgoal", "imagegoal"])
def test_a_state_of_another_task_is_refused(task):
    other = LightInteractionEnv(AnalyticWorld())
    other.reset(seed=0)
    state, goal = other.save_state(), {"goal": [1.0, 2.0], "goal_image": np.zeros((9, 9, 3), np.uint8)}
    options = goal if task == "imagegoal" else {}
    env, many = (
        LightInteractionEnv(AnalyticWorld(), task=task),
        LightInteractionVectorEnv(2, world=AnalyticWorld(), task=task),
    )
    env.reset(seed=0, options=options)
    many.reset(seed=0, options=options)
    before = many.save_state()
    for call in (
        lambda: env.restore_state(state),
        lambda: env.reset(options={"state": state}),
        lambda: many.restore_state([state], [1]),
        lambda: many.reset(options={"each": [{"state": before[0]}, {"state": state}]}),
    ):
        with pytest.raises(
            ValueError, match=r"state of task 'explore' \(.*Explore\); allowed here: .* task '"
        ) as caught:
            call()
        assert task in str(caught.value)
    assert many.save_state() == before
    with pytest.raises(ValueError, match=f"state of task '{task}'"):
        other.restore_state(env.save_state())


def test_a_task_of_ones_own_with_the_same_name_is_another_one():
    class Other(Explore):
        pass

    env, other = (
        LightInteractionEnv(AnalyticWorld()),
        LightInteractionEnv(AnalyticWorld(), task=Other(AnalyticWorld().spec)),
    )
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"state of task 'explore' \(li_env"):
        other.restore_state(env.save_state())


@pytest.mark.parametrize(
    "kwargs",
    [{"action_space": "continuous"}, {"observation": "chunk"}, {"preset": "off"}, {"timings": True}],
    ids=lambda kwargs: next(iter(kwargs)),
)
def test_a_state_goes_on_under_other_actions_observations_and_presets(kwargs):
    env, other = make(), LightInteractionEnv(AnalyticWorld(), **kwargs)
    env.reset(seed=0)
    env.step(FORWARD)
    state = env.unwrapped.save_state()
    other.reset(seed=9)
    other.restore_state(state)
    stop = np.zeros(3, np.float32) if "action_space" in kwargs else STILL
    observation, _, _, _, info = other.step(stop)
    assert observation in other.observation_space
    np.testing.assert_array_equal(info["pose"], env.step(STILL)[4]["pose"])


def test_a_goal_comes_along_into_an_environment_without_its_data_set():
    env, other = (LightInteractionEnv(AnalyticWorld(), task="pointgoal") for _ in range(2))
    env.reset(seed=0, options={"goal": [0.0, 3.0]})
    other.reset(seed=1)
    other.restore_state(env.save_state())
    info = other.step(FORWARD)[4]
    np.testing.assert_array_equal(info["goal"], [0.0, 3.0])
    np.testing.assert_equal(info, env.step(FORWARD)[4])


def test_a_state_of_a_world_on_another_device_is_refused():
    env = LightInteractionEnv(AnalyticWorld())
    env.reset(seed=0)
    foreign = replace(env.save_state(), device=torch.device("cuda:1"))
    with pytest.raises(ValueError, match="state of a world on cuda:1; allowed here: a world on cpu"):
        env.restore_state(foreign)


def test_frames_kept_as_tensors_are_arrays_in_a_single_environment():
    many = LightInteractionVectorEnv(1, world=AnalyticWorld(), device_obs=True)
    many.reset(seed=0)
    observation, *_ = many.step([FORWARD])
    (state,) = many.save_state()
    assert isinstance(state.frames, torch.Tensor)
    env = LightInteractionEnv(AnalyticWorld(), render_mode="rgb_array")
    frames, _ = env.reset(options={"state": state})
    np.testing.assert_array_equal(frames, observation[0].numpy())
    env.restore_state(state)
    np.testing.assert_array_equal(env.render(), frames[-1])
    following = env.step(FORWARD)[0]
    np.testing.assert_array_equal(following, many.step([FORWARD])[0][0].numpy())
    many.restore_state([env.save_state()])
    assert isinstance(many.step([FORWARD])[0], torch.Tensor)


def test_an_episode_that_was_over_is_restored_and_not_reset_to():
    env = LightInteractionEnv(AnalyticWorld(), task="pointgoal")
    env.reset(seed=0)
    env.step(env.action_space.n - 1)
    over = env.save_state()
    with pytest.raises(ValueError, match="'state' is a moment when its episode was over"):
        env.reset(options={"state": over})
    env.reset(seed=1)
    env.restore_state(over)
    with pytest.raises(gymnasium.error.ResetNeeded, match="has ended"):
        env.step(FORWARD)


@pytest.mark.parametrize(
    "arguments",
    [
        {"seed": 77, "options": {"start": 10**6}},
        {"seed": 77, "options": {"pose": 3}},
        {"seed": 77, "options": {"prompt": 3}},
        {"options": {"image": "x.png"}},
        {"seed": 1.5},
        {"seed": True},
        {"seed": -1},
        {"options": [1]},
        {"options": "start"},
    ],
)
def test_a_reset_that_fails_changes_nothing(arguments):
    env = LightInteractionEnv(AnalyticWorld())
    env.reset(seed=5)
    env.step(FORWARD)
    before, draws = env.save_state(), env.np_random.bit_generator.state
    with pytest.raises(ValueError) as caught:
        env.reset(**arguments)
    assert "\n" not in str(caught.value)
    assert env.save_state() is before
    assert env.np_random_seed == 5
    assert env.np_random.bit_generator.state == draws


def test_an_episode_goes_on_after_a_failed_reset_with_the_time_it_had():
    env = make(max_episode_steps=3)
    env.reset(seed=0)
    env.step(FORWARD)
    with pytest.raises(ValueError, match="start=-1"):
        env.reset(options={"start": -1})
    assert steps_until_cut(env) == 2


def test_wrappers_cannot_change_the_spaces_that_it_computes_with():
    env = LightInteractionEnv(AnalyticWorld(), task="pointgoal", action_space="continuous")
    env.observation_space.spaces.clear()
    env.action_space.high[:] = 0
    assert env.reset(seed=0)[0].keys() == {"rgb", "pointgoal"}
    env.step(np.array([1, 0, 0, 0], np.float32))
    assert env.save_state().episode.pose[2, 3] > 0


def test_the_former_name_of_a_state_warns():
    with pytest.warns(DeprecationWarning, match="SavedState is now EpisodeState"):
        assert state_module.SavedState is EpisodeState
    assert not hasattr(state_module, "Saved")
