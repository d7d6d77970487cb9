"""The adapter for Stable-Baselines3."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize, VecVideoRecorder

import li_env  # noqa: F401  (registers the ids)
from li_env.sb3 import SB3VecEnv
from tests.analytic_world import AnalyticWorld

ID = "LightInteraction/Explore-v0"


def make(num_envs: int = 2, **kwargs: object) -> SB3VecEnv:
    arguments = {"autoreset_mode": AutoresetMode.SAME_STEP, "observation": "frame", "max_episode_steps": 3, **kwargs}
    return SB3VecEnv(
        gymnasium.make_vec(ID, num_envs, vectorization_mode="vector_entry_point", world=AnalyticWorld(), **arguments)
    )


def sb3s_own() -> DummyVecEnv:
    def single() -> gymnasium.Env:
        return gymnasium.make(ID, world=AnalyticWorld(), observation="frame", max_episode_steps=3)

    return DummyVecEnv([single, single])


def test_it_does_what_sb3s_own_vector_environment_does():
    ours, theirs = make(), sb3s_own()
    for env in (ours, theirs):
        env.seed(5)
        env.set_options({"start": 1})
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    assert ours.reset_infos[0].keys() == theirs.reset_infos[0].keys()
    ended = 0
    for actions in np.random.default_rng(0).integers(0, 9, (7, 2)):
        mine, other = ours.step(actions), theirs.step(actions)
        np.testing.assert_array_equal(mine[0], other[0])
        np.testing.assert_allclose(mine[1], other[1])
        assert (mine[1].dtype, mine[2].dtype) == (other[1].dtype, other[2].dtype)
        np.testing.assert_array_equal(mine[2], other[2])
        for one, two in zip(mine[3], other[3], strict=True):
            np.testing.assert_equal(one, two)
            ended += "terminal_observation" in one
    assert ended == 4


def test_ppo_learns_with_it_and_is_evaluated():
    env = VecMonitor(make())
    model = PPO("CnnPolicy", env, n_steps=4, batch_size=4, n_epochs=1, device="cpu", seed=0)
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(8)
    assert any((new != old).any() for new, old in zip(model.policy.parameters(), before, strict=True))
    mean, _ = evaluate_policy(model, env, n_eval_episodes=2, warn=False)
    assert np.isfinite(mean)


def test_images_are_the_last_frames():
    env = make(render_mode="rgb_array")
    observations = env.reset()
    np.testing.assert_array_equal(np.stack(env.get_images()), observations)
    assert env.render().size == 2 * 96 * 128 * 3
    assert env.get_attr("render_mode", indices=[1]) == ["rgb_array"]
    assert env.env_is_wrapped(gymnasium.Wrapper) == [False, False]
    assert make().get_images() == [None, None]
    env.close()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"autoreset_mode": AutoresetMode.NEXT_STEP}, "autoreset_mode='NextStep' does not fit .* allowed: SameStep"),
        ({"device_obs": True}, "device_obs=True does not fit"),
    ],
)
def test_environments_that_do_not_fit_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        make(**kwargs)
    with pytest.raises(ValueError, match="env=CartPoleVectorEnv is not usable"):
        SB3VecEnv(gymnasium.make_vec("CartPole-v1", 1))


def test_worlds_have_nothing_of_their_own():
    env = make()
    with pytest.raises(AttributeError, match="all environments are one object"):
        env.set_attr("timings", True)
    with pytest.raises(AttributeError, match="call it on the vector environment"):
        env.env_method("save_state")


def test_infos_of_resets_belong_to_the_episodes_that_run():
    ours, theirs = make(), sb3s_own()
    for env in (ours, theirs):
        env.seed(5)
        env.reset()
    seeds = set()
    for _ in range(7):
        mine, other = ours.step(np.array([1, 2])), theirs.step(np.array([1, 2]))
        np.testing.assert_equal(ours.reset_infos, theirs.reset_infos)
        for world, done in enumerate(mine[2]):
            if not done:
                assert mine[3][world]["episode_seed"] == ours.reset_infos[world]["episode_seed"]
        seeds |= {info["episode_seed"] for info in ours.reset_infos}
        assert other[3][0].keys() == mine[3][0].keys()
    assert len(seeds) == 6


def test_what_wrappers_say_about_ended_episodes_passes_through():
    inner = gymnasium.make_vec(
        ID, 2, vectorization_mode="vector_entry_point", world=AnalyticWorld(), observation="frame",
        max_episode_steps=3, autoreset_mode="SameStep",
    )  # fmt: skip
    env = SB3VecEnv(gymnasium.wrappers.vector.RecordEpisodeStatistics(inner))
    env.seed(0)
    env.reset()
    total = np.zeros(2)
    for step in range(6):
        _, rewards, dones, infos = env.step(np.array([1, 6]))
        total += rewards
        assert [("episode" in info) for info in infos] == dones.tolist() == [step % 3 == 2] * 2
        if dones.all():
            np.testing.assert_allclose([info["episode"]["r"] for info in infos], total, rtol=1e-6)
            assert [info["episode"]["l"] for info in infos] == [3, 3]
            assert not any("episode" in info for info in env.reset_infos)
            assert all("terminal_observation" in info and "final_info" not in info for info in infos)
            total[:] = 0


def test_normalising_leaves_the_environment_below_as_it_was():
    inner = gymnasium.make_vec(
        "LightInteraction/PointGoal-v0", 2, vectorization_mode="vector_entry_point", world=AnalyticWorld(),
        observation="frame", autoreset_mode="SameStep",
    )  # fmt: skip
    spaces = str(inner.single_observation_space), str(inner.observation_space), str(inner.single_action_space)
    normalised = VecNormalize(SB3VecEnv(inner))
    assert normalised.reset()["rgb"].dtype == np.float32
    assert (str(inner.single_observation_space), str(inner.observation_space), str(inner.single_action_space)) == spaces
    assert inner.reset(seed=0)[0]["rgb"].dtype == np.uint8


def test_videos_run_at_the_speed_of_the_world(tmp_path):
    env = make(1, render_mode="rgb_array")
    assert env.metadata["render_fps"] == env.env.metadata["render_fps"] == pytest.approx(8.75 / 4)
    assert env.metadata["render_modes"] == ["human", "rgb_array"]
    recorder = VecVideoRecorder(env, str(tmp_path), lambda step: step == 0, video_length=2)
    assert recorder.frames_per_sec == env.metadata["render_fps"]
    assert make(1).metadata["render_fps"] == env.metadata["render_fps"]
