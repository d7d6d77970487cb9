"""``frame_size`` and ``grayscale`` on the environments: spaces, frames, sensors, intrinsics, rendering, every mode."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_of_sb3

from li_env.env import LightInteractionEnv
from li_env.observations import FrameFormat
from li_env.sb3 import SB3VecEnv
from li_env.vector_env import LightInteractionVectorEnv
from li_env.wrappers import RecordAllFrames
from tests.analytic_world import AnalyticWorld

FORMS = [((48, 64), False), ((84, 84), True), (None, True), ((120, 200), False)]
IDS = {"explore": "LightInteraction/Explore-v0", "imagegoal": "LightInteraction/ImageGoal-v0"}
GOAL = {"goal": [0, 2], "goal_image": np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)}


def rgb(observation: Any) -> Any:
    return observation["rgb"] if isinstance(observation, dict) else observation


@pytest.mark.parametrize(("size", "grey"), FORMS)
@pytest.mark.parametrize("observation", ["chunk", "frame"])
@pytest.mark.parametrize("task", ["explore", "imagegoal"])
def test_frames_are_those_of_the_world_in_another_form(size, grey, observation, task):
    plain = LightInteractionEnv(AnalyticWorld(), observation=observation, task=task)
    env = LightInteractionEnv(AnalyticWorld(), observation=observation, task=task, frame_size=size, grayscale=grey)
    form = FrameFormat((96, 128), size, grey)
    options = GOAL if task == "imagegoal" else {}
    (whole, _), (shown, info) = (each.reset(seed=1, options=options) for each in (plain, env))
    for action in (1, 5, 1, 6):
        np.testing.assert_array_equal(rgb(shown), form.of(rgb(whole)))
        assert env.observation_space.contains(shown)
        height, width = form.size
        np.testing.assert_allclose(
            info["intrinsics"], [[0.5 * width, 0, width / 2], [0, 0.8 * height, height / 2], [0, 0, 1]]
        )
        if task == "imagegoal":
            np.testing.assert_array_equal(shown["imagegoal"], form.of(GOAL["goal_image"]))
        whole, (shown, _, _, _, info) = plain.step(action)[0], env.step(action)
    np.testing.assert_array_equal(env.last_frames(), plain.last_frames())


@pytest.mark.parametrize(("size", "grey"), FORMS)
@pytest.mark.parametrize("device_obs", [False, True])
@pytest.mark.parametrize("observation", ["chunk", "frame"])
@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
def test_worlds_of_a_batch_are_single_environments(size, grey, device_obs, observation, mode):
    arguments = {"observation": observation, "frame_size": size, "grayscale": grey}
    many = gymnasium.make_vec(
        IDS["explore"], 2, vectorization_mode="vector_entry_point", world=AnalyticWorld(), autoreset_mode=mode,
        device_obs=device_obs, max_episode_steps=2, **arguments,
    )  # fmt: skip
    singles = [LightInteractionEnv(AnalyticWorld(), **arguments) for _ in "ab"]
    frames, _ = many.reset(seed=4)
    first = [env.reset(seed=4 + index)[0] for index, env in enumerate(singles)]
    np.testing.assert_array_equal(np.asarray(frames), np.stack(first))
    for step in range(2):
        frames, _, _, _, infos = many.step(np.array([1, 5]))
        assert isinstance(frames, torch.Tensor if device_obs else np.ndarray)
        assert tuple(frames.shape) == many.observation_space.shape
        last = np.stack([env.step(action)[0] for env, action in zip(singles, (1, 5), strict=True)])
        if mode == "SameStep" and step == 1:
            for index in range(2):
                np.testing.assert_array_equal(np.asarray(infos["final_obs"][index]), last[index])
        else:
            np.testing.assert_array_equal(np.asarray(frames), last)
    many.close()


@pytest.mark.parametrize("device_obs", [False, True])
def test_sensors_of_a_batch_follow(device_obs):
    env = LightInteractionVectorEnv(
        2, world=AnalyticWorld(), task="imagegoal", frame_size=(24, 32), grayscale=True, device_obs=device_obs
    )
    observation, _ = env.reset(seed=0, options=GOAL)
    assert tuple(observation["imagegoal"].shape) == (2, 24, 32, 1) == env.observation_space["imagegoal"].shape
    expected = FrameFormat((96, 128), (24, 32), True).of(GOAL["goal_image"])
    np.testing.assert_array_equal(np.asarray(observation["imagegoal"][1]), expected)


def test_rendering_and_recording_show_whole_frames(tmp_path):
    env = RecordAllFrames(
        LightInteractionEnv(AnalyticWorld(), frame_size=(24, 32), grayscale=True, render_mode="rgb_array"), tmp_path
    )
    env.reset(seed=0)
    env.step(1)
    assert env.render().shape == (96, 128, 3)
    env.close()
    from li_env.recording import read_video

    (video,) = tmp_path.glob("*.mp4")
    assert read_video(video).shape[1:] == (96, 128, 3)
    many = LightInteractionVectorEnv(2, world=AnalyticWorld(), frame_size=(24, 32), render_mode="rgb_array")
    many.reset(seed=0)
    assert many.render()[0].shape == (96, 128, 3)


def test_a_state_goes_over_to_an_environment_of_another_form():
    small = LightInteractionEnv(AnalyticWorld(), frame_size=(24, 32), observation="frame")
    whole = LightInteractionEnv(AnalyticWorld(), observation="frame")
    small.reset(seed=0)
    small.step(1)
    whole.restore_state(small.save_state())
    one, two = small.step(5)[0], whole.step(5)[0]
    np.testing.assert_array_equal(one, FrameFormat((96, 128), (24, 32)).of(two))


def test_observations_belong_to_the_user():
    for size in (None, (96, 128), (48, 64)):
        env = LightInteractionEnv(AnalyticWorld(), frame_size=size, observation="frame")
        frames, _ = env.reset(seed=0)
        frames[:] = 0
        assert env.last_frames().any()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_checkers_and_stable_baselines_take_them():
    env = LightInteractionEnv(AnalyticWorld(), observation="frame", frame_size=(84, 84), grayscale=True)
    check_env(env, skip_render_check=True)
    check_env_of_sb3(env)
    many = SB3VecEnv(
        gymnasium.make_vec(
            IDS["explore"], 2, vectorization_mode="vector_entry_point", world=AnalyticWorld(), observation="frame",
            autoreset_mode="SameStep", frame_size=(84, 84), grayscale=True,
        )
    )  # fmt: skip
    assert many.reset().shape == (2, 84, 84, 1) == (2, *many.observation_space.shape)


@pytest.mark.parametrize("arguments", [{"frame_size": 84}, {"frame_size": (0, 3)}, {"grayscale": "yes"}])
def test_mistakes_name_the_argument(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=name):
        LightInteractionEnv(AnalyticWorld(), **arguments)
    with pytest.raises(ValueError, match=name):
        LightInteractionVectorEnv(2, world=AnalyticWorld(), **arguments)
