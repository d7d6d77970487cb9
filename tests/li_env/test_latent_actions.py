"""One action per latent beside one that is held: spaces, motions, stop, the first chunk, single and vector."""

from __future__ import annotations

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_of_sb3

from li_env.accel.geometry.camera import STILL, CameraMotion, MotionLimits
from li_env.actions import ACTION_SPACES, ActionMapper
from li_env.env import LightInteractionEnv
from li_env.latent_actions import LatentActions
from li_env.vector_env import LightInteractionVectorEnv
from tests.analytic_world import SPEC, AnalyticWorld

FREE = MotionLimits(0.5, 10.0, True)
FORWARD, LEFT = CameraMotion(forward=0.75), CameraMotion(yaw=-15.0)


def rows(name: str = "discrete", can_stop: bool = False, latents: int = 4, limits: MotionLimits = SPEC.motion):
    return LatentActions(ActionMapper(name, limits, can_stop), latents)


def test_spaces_have_one_row_per_latent():
    assert rows().space == spaces.MultiDiscrete([9] * 4)
    assert rows(can_stop=True, latents=2).space == spaces.MultiDiscrete([10] * 2)
    assert rows("continuous").space == spaces.Box(-1, 1, (4, 3), np.float32)
    assert rows("continuous", True, 3, FREE).space == spaces.Box(-1, 1, (3, 5), np.float32)
    keys = rows("keyboard_mouse").space
    assert keys.shape == (4, 6)
    np.testing.assert_array_equal(keys.low[2], [0, 0, 0, 0, -1, -1])


def test_every_row_moves_its_latent():
    motions, kept = rows().commands([1, 5, 1, 0], 4)
    assert motions == (FORWARD, LEFT, FORWARD, STILL)
    assert kept == (1, 5, 1, 0)
    motions, kept = rows("continuous").commands(np.array([[1, 0, 0], [0, 0, -1], [0.5, 0, 0], [0, 0, 0]]), 4)
    assert motions[:3] == (FORWARD, LEFT, CameraMotion(forward=0.375))
    np.testing.assert_array_equal(kept[2], [0.5, 0, 0])


def test_the_first_chunk_uses_the_last_rows():
    assert rows().commands([5, 1, 1, 5], 3) == ((FORWARD, FORWARD, LEFT), (1, 1, 5))
    assert rows(latents=2).commands([5, 1], 5) == ((LEFT,) * 4 + (FORWARD,), (5, 5, 5, 5, 1))


def test_stop_counts_in_the_first_row():
    mapper = rows(can_stop=True)
    assert mapper.commands([9, 1, 1, 1], 4) is None
    assert mapper.commands([9, 1, 1, 1], 3) is None
    assert mapper.commands([1, 9, 1, 9], 4)[0] == (FORWARD, STILL, FORWARD, STILL)
    keys = np.zeros((4, 7))
    keys[2, 6] = 1
    assert rows("keyboard_mouse", True).commands(keys, 4)[0] == (STILL,) * 4


@pytest.mark.parametrize(
    ("name", "action", "message"),
    [
        ("discrete", [1, 1, 1], r"action=shape \[3\] does not fit; allowed: shape \[4\], one row per latent"),
        ("discrete", 1, r"action=shape \[\] does not fit"),
        ("discrete", [1, 1, 9, 1], "action=.*9.* is outside the discrete space; allowed: 0 to 8"),
        ("discrete", [1.0, 1, 1, 1], "is outside the discrete space"),
        ("discrete", None, "action=None does not fit"),
        ("discrete", [[1], [1, 2]], r"action=\[\[1\], \[1, 2\]\] does not fit"),
        ("continuous", np.zeros(3), r"action=shape \[3\] does not fit; allowed: shape \[4, 3\]"),
        ("continuous", np.full((4, 3), np.nan), "outside the continuous space"),
    ],
)
def test_other_actions_are_refused(name, action, message):
    with pytest.raises(ValueError, match=message):
        rows(name).commands(action, 4)


@pytest.mark.parametrize("name", ACTION_SPACES)
def test_equal_rows_are_the_action_that_is_held(name):
    held = LightInteractionEnv(AnalyticWorld(), action_space=name)
    each = LightInteractionEnv(AnalyticWorld(), action_space=name, latent_actions=True)
    held.reset(seed=0)
    each.reset(seed=0)
    held.action_space.seed(3)
    for _ in range(4):
        action = held.action_space.sample()
        one, two = held.step(action), each.step(np.stack([action] * 4))
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_equal(one[4], two[4])


def test_tensors_are_actions_too():
    assert rows().commands(torch.tensor([5, 1, 1, 5]), 3)[0] == (FORWARD, FORWARD, LEFT)
    made = rows("continuous").commands(torch.tensor([[1.0, 0, 0]] * 4, dtype=torch.bfloat16), 4)
    assert made[0] == (FORWARD,) * 4


def test_info_tells_the_rows_apart():
    env = LightInteractionEnv(AnalyticWorld(), latent_actions=True)
    env.reset(seed=0)
    info = env.step([5, 1, 1, 5])[4]
    np.testing.assert_allclose(info["motion"][-3:], [[0, 0, 0, 0.75], [0, 0, 0, 0.75], [-15, 0, 0, 0]])
    info = env.step([6, 0, 1, 2])[4]
    np.testing.assert_allclose(info["motion"][:, [0, 3]], [[15, 0], [0, 0], [0, 0.75], [0, -0.75]])


def test_a_world_whose_first_chunk_is_longer():
    spec = replace(SPEC, first_chunk_latents=6)
    env = LightInteractionEnv(AnalyticWorld(spec=spec), latent_actions=True)
    assert env.action_space == spaces.MultiDiscrete([9] * 4)
    env.reset(seed=0)
    info = env.step([5, 1, 1, 5])[4]
    np.testing.assert_allclose(info["motion"][-5:, 0], [-15, -15, 0, 0, -15])
    assert info["new_frames"] == 5


@pytest.mark.parametrize("name", ACTION_SPACES)
@pytest.mark.parametrize("task", ["explore", "pointgoal"])
def test_worlds_of_a_batch_are_single_environments(name, task):
    many = LightInteractionVectorEnv(2, world=AnalyticWorld(), action_space=name, task=task, latent_actions=True)
    singles = [LightInteractionEnv(AnalyticWorld(), action_space=name, task=task, latent_actions=True) for _ in "ab"]
    assert many.action_space.shape == (2, *singles[0].action_space.shape)
    many.reset(seed=0)
    for index, env in enumerate(singles):
        env.reset(seed=index)
    many.action_space.seed(0)
    for step in range(3):
        actions = many.action_space.sample()
        if task == "pointgoal" and name != "discrete":
            actions[..., -1] = 0
        elif task == "pointgoal":
            actions = np.minimum(actions, 8)
        made = many.step(torch.from_numpy(actions) if step else actions)
        for index, env in enumerate(singles):
            single = env.step(actions[index])
            if task == "explore":
                np.testing.assert_array_equal(made[0][index], single[0])
            else:
                np.testing.assert_array_equal(made[0]["rgb"][index], single[0]["rgb"])
            assert made[1][index] == single[1]


def test_stop_ends_the_episode_of_a_batch():
    env = LightInteractionVectorEnv(2, world=AnalyticWorld(), task="pointgoal", latent_actions=True)
    env.reset(seed=0)
    _, _, terminations, _, infos = env.step(np.array([[9, 1, 1, 1], [1, 1, 1, 9]]))
    assert terminations.tolist() == [True, False]
    assert infos["new_frames"].tolist() == [0, 3]


@pytest.mark.parametrize("task", ["explore", "pointgoal"])
@pytest.mark.parametrize("name", ACTION_SPACES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_checkers_pass(name, task):
    arguments = {"action_space": name, "task": task, "observation": "frame", "latent_actions": True}
    env = LightInteractionEnv(AnalyticWorld(), **arguments)
    check_env(env, skip_render_check=True)
    check_env_of_sb3(env)


def test_it_is_an_argument_of_the_ids():
    env = gymnasium.make("LightInteraction/Explore-v0", world=AnalyticWorld(), latent_actions=True)
    assert env.action_space.shape == (4,)
    with pytest.raises(ValueError, match="latent_actions=1 is not allowed; use true or false"):
        LightInteractionEnv(AnalyticWorld(), latent_actions=1)
