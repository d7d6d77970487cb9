"""Many environments at once: each equals the single environment and does not depend on the others."""

from __future__ import annotations

import pickle

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

import li_env  # noqa: F401  (registers the ids)
from li_env.actions import ACTION_SPACES
from li_env.episodes import OBSERVATIONS
from li_env.metrics import psnr
from li_env.vector_env import LightInteractionVectorEnv
from tests.analytic_world import AnalyticWorld
from tests.narrow_freedoom import NAME
from tests.vector_envs import ID, make

FORWARD, TURN_LEFT, TURN_RIGHT = 1, 5, 6
MODES = list(AutoresetMode)


def actions_of(count: int, steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 9, (steps, count))


def run(env: LightInteractionVectorEnv, actions: np.ndarray) -> np.ndarray:
    return np.stack([env.step(row)[0] for row in actions])


def test_a_batch_gives_the_frames_of_single_worlds(world_name):
    steps, worlds = (8, 8) if world_name == "analytic" else (4, 4)
    env = make(world_name, worlds, preset="all")
    path = actions_of(worlds, steps)
    env.reset(seed=20)
    batch = [(*env.step(row), env.plans) for row in path]
    single = gymnasium.make(ID, world=world_name, preset="all")
    for world in (0, 5) if world_name == "analytic" else (2,):
        single.reset(seed=20 + world)
        for step in range(steps):
            frames, reward, _, _, info = single.step(path[step, world])
            together = torch.from_numpy(np.stack([batch[step][0][world], frames]))
            assert psnr(together[0], together[1]).min() >= 45
            assert batch[step][1][world] == pytest.approx(reward)
            assert batch[step][5][world] == single.unwrapped.plan
            assert batch[step][4]["similarity"][world] == info["similarity"]
            if world_name == "analytic":
                np.testing.assert_array_equal(together[0], together[1])
                np.testing.assert_array_equal(batch[step][4]["pose"][world], info["pose"])


def test_the_same_batch_again_is_bit_equal_and_seeds_matter(world_name):
    count, steps = (3, 3) if world_name == "analytic" else (2, 2)
    env, again, other = (make(world_name, count) for _ in range(3))
    path = actions_of(count, steps)
    for one, seed in ((env, 5), (again, [5, 6, 7][:count]), (other, 50)):
        one.reset(seed=seed, options={"start": 0})
    first = run(env, path)
    np.testing.assert_array_equal(first, run(again, path))
    assert not np.array_equal(first, run(other, path))


@pytest.mark.parametrize(
    ("world_name", "mode"), [*(("analytic", mode) for mode in MODES), (NAME, AutoresetMode.SAME_STEP)]
)
def test_resetting_one_world_leaves_the_others_bit_identical(world_name, mode):
    disturbed, calm = (make(world_name, autoreset_mode=mode) for _ in range(2))
    path = actions_of(3, 4 if world_name == "analytic" else 2)
    half = len(path) // 2
    for env in (disturbed, calm):
        env.reset(seed=1)
    for step, row in enumerate(path):
        if step == half:
            mask = np.array([False, True, False])
            before = disturbed.save_state()
            observations, infos = disturbed.reset(seed=99, options={"reset_mask": mask})
            np.testing.assert_array_equal(infos["_chunk"], mask)
            assert infos["chunk"][1] == 0
            assert disturbed.save_state([0, 2]) == (before[0], before[2])
            np.testing.assert_array_equal(observations[0], before[0].frames)
        one, two = disturbed.step(row), calm.step(row)
        for world in (0, 2):
            np.testing.assert_array_equal(one[0][world], two[0][world])
            assert one[1][world] == two[1][world]
        assert np.array_equal(one[0][1], two[0][1]) == (step < half)


def test_forks_go_the_same_way_under_the_same_actions_and_apart_under_others(world_name):
    env, steps = make(world_name), 2 if world_name == "analytic" else 1
    env.reset(seed=3)
    env.step([FORWARD, TURN_LEFT, TURN_RIGHT])
    env.fork(0, [1, 2])
    snapshots = env.save_state()
    assert snapshots[0] is snapshots[1] is snapshots[2], "nothing is copied"
    for _ in range(steps):
        observations, rewards, *_ = env.step([FORWARD, FORWARD, TURN_RIGHT])
    np.testing.assert_array_equal(observations[0], observations[1])
    assert rewards[0] == rewards[1]
    assert not np.array_equal(observations[0], observations[2])
    env.restore_state(snapshots)
    again = [env.step([FORWARD, FORWARD, TURN_RIGHT]) for _ in range(steps)][-1]
    np.testing.assert_array_equal(again[0], observations)
    env.restore_state(snapshots[:1], [2])
    assert env.save_state([2]) == snapshots[:1]


def test_a_snapshot_starts_a_single_environment_and_the_other_way_round():
    env, single = make(), gymnasium.make(ID, world="analytic")
    env.reset(seed=3)
    env.step([FORWARD] * 3)
    single.reset(options={"state": env.save_state([1])[0]})
    ahead = single.step(TURN_LEFT)
    observations, *_ = env.step([TURN_LEFT] * 3)
    np.testing.assert_array_equal(observations[1], ahead[0])
    observations, infos = env.reset(options={"state": single.unwrapped.save_state()})
    np.testing.assert_array_equal(observations[2], ahead[0])
    assert infos["chunk"].tolist() == [2, 2, 2]


@pytest.mark.parametrize("observation", OBSERVATIONS)
@pytest.mark.parametrize("action_space", ACTION_SPACES)
def test_every_space_is_kept(action_space, observation):
    env = make(action_space=action_space, observation=observation, num_envs=2)
    env.action_space.seed(0)
    assert env.reset(seed=0)[0] in env.observation_space
    for _ in range(2):
        observations, rewards, terminations, truncations, _ = env.step(env.action_space.sample())
        assert observations in env.observation_space
        assert (rewards.dtype, rewards.shape) == (np.float64, (2,))
        assert terminations.dtype == truncations.dtype == np.bool_
    assert env.metadata["render_fps"] * env.world.spec.step_frames == pytest.approx(env.world.spec.fps)


def steps_of(env: LightInteractionVectorEnv, count: int) -> list:
    return [env.step([FORWARD] * env.num_envs) for _ in range(count)]


@pytest.mark.parametrize("name", ["LightInteraction/Explore-v0", "LightInteraction/PointGoal-v0"])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_it_is_what_gymnasium_makes_of_single_environments(name, mode):
    """End at different times: one environment is reset in between, and agents stop."""
    ours = gymnasium.make_vec(name, 3, "vector_entry_point", world="analytic", max_episode_steps=3, autoreset_mode=mode)
    theirs = gymnasium.make_vec(
        name, 3, "sync", vector_kwargs={"autoreset_mode": mode}, world="analytic", max_episode_steps=3
    )
    mine, expected = ours.reset(seed=4), theirs.reset(seed=4)
    ends = 0
    for step, row in enumerate(np.random.default_rng(0).integers(0, ours.single_action_space.n, (9, 3))):
        if step == 1:
            mask = np.array([False, False, True])
            mine = ours.reset(options={"reset_mask": mask})
            expected = theirs.reset(options={"reset_mask": mask})
            _assert_same(mine, expected)
        mine, expected = ours.step(row), theirs.step(row)
        _assert_same(mine, expected)
        ends += int((mine[2] | mine[3]).sum())
    assert ends >= 3


def _assert_same(mine: tuple, expected: tuple) -> None:
    np.testing.assert_equal(mine[0], expected[0])
    for one, two in zip(mine[1:-1], expected[1:-1], strict=True):
        np.testing.assert_array_equal(one, two)
    last, wanted = (infos.pop("final_obs", [None] * 3) for infos in (mine[-1], expected[-1]))
    for one, two in zip(last, wanted, strict=True):
        np.testing.assert_equal(one, two)
    np.testing.assert_equal(mine[-1], expected[-1])


def test_disabled_mode_waits_for_the_caller():
    env = make(max_episode_steps=2, autoreset_mode="Disabled")
    env.reset(seed=0)
    truncations = [outcome[3].tolist() for outcome in steps_of(env, 2)]
    assert truncations == [[False] * 3, [True] * 3]
    with pytest.raises(ResetNeeded, match=r"environments \[0, 1, 2\] are over: call reset\(options={'reset_mask'"):
        env.step([0] * 3)
    env.reset(options={"reset_mask": np.array([True, True, False])})
    with pytest.raises(ResetNeeded, match=r"environments \[2\] are over"):
        env.step([0] * 3)
    env.reset(options={"reset_mask": np.array([False, False, True])})
    assert env.step([0] * 3)[4]["chunk"].tolist() == [1, 1, 1]


def test_a_world_that_degenerates_ends_alone():
    class Broken(AnalyticWorld):
        def generate(self, requests):
            latents = super().generate(requests)
            return [
                chunk * float("nan") if (request.poses[-1, :3, 3] > 2).any() else chunk
                for chunk, request in zip(latents, requests, strict=True)
            ]

    env = make(Broken(), num_envs=2, autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset(seed=0, options={"start": 0})
    env.step([FORWARD, TURN_LEFT])
    _, _, terminations, truncations, infos = env.step([FORWARD, TURN_LEFT])
    assert not terminations.any()
    assert truncations.tolist() == [True, False]
    assert infos["final_info"]["degenerated"].tolist() == [True, False]
    assert infos["_final_obs"].tolist() == [True, False]
    assert infos["final_obs"][1] is None
    assert infos["degenerated"].tolist() == [False, False]
    assert infos["chunk"].tolist() == [0, 2]


def test_options_may_differ_from_world_to_world():
    env = make()
    observations, infos = env.reset(seed=0, options={"start": 0, "each": [{}, {"start": 1}, {"prompt": "x"}]})
    assert infos["start_index"].tolist() == [0, 1, 0]
    np.testing.assert_array_equal(observations[1][0], env.world.start_views.images[1])


def test_device_observations_are_tensors_with_the_same_values(world_name):
    count = 3 if world_name == "analytic" else 2
    tensors, arrays = (
        make(world_name, count, device_obs=True, max_episode_steps=2, autoreset_mode="SameStep"),
        make(world_name, count),
    )
    observations, expected = tensors.reset(seed=0)[0], arrays.reset(seed=0)[0]
    for row in actions_of(count, 2):
        assert isinstance(observations, torch.Tensor)
        assert observations.device == tensors.world.device
        np.testing.assert_array_equal(observations.cpu().numpy(), expected)
        observations, _, _, _, infos = tensors.step(torch.from_numpy(row))
        expected = arrays.step(row)[0]
    assert isinstance(infos["final_obs"][-1], torch.Tensor)
    np.testing.assert_array_equal(infos["final_obs"][-1].cpu().numpy(), expected[-1])
    observations.zero_()
    assert tensors.save_state()[0].frames.any(), "observations are not views of the state"


def test_a_step_whose_reset_fails_changes_nothing(monkeypatch):
    env = make(max_episode_steps=1, autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset(seed=0)
    before, draws = env.save_state(), [generator.bit_generator.state for generator in env.np_random]
    with monkeypatch.context() as patch:
        patch.setattr(env.runner.engine, "start", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            env.step([0] * 3)
    assert env.save_state() == before
    assert [generator.bit_generator.state for generator in env.np_random] == draws
    assert env.step([0] * 3)[3].all()


@pytest.mark.parametrize(("mode", "after"), [("NextStep", [1, 2, 3]), ("SameStep", [1, 2, 0]), ("Disabled", [1, 2, 3])])
def test_a_restored_world_has_the_steps_that_it_had(mode, after):
    env = make(max_episode_steps=3, autoreset_mode=mode)
    env.reset(seed=0)
    start = env.save_state()
    for number, truncated in enumerate([False, False, True]):
        assert env.step([0] * 3)[3].tolist() == [truncated] * 3
        if number == 0:
            one = env.save_state()
    for _ in range(4):
        env.restore_state(start)
        assert not env.step([0] * 3)[3].any()
    env.restore_state([start[0], one[1], one[2]])
    env.restore_state([one[0]], [1])
    assert env.step([0] * 3)[3].tolist() == [False] * 3
    assert env.step([0] * 3)[3].tolist() == [False, True, True]
    env.restore_state(start)
    for count in after[:2]:
        env.step([0] * 3)
        assert [state.steps for state in env.save_state()] == [count] * 3
    env.step([0] * 3)
    assert [state.steps for state in env.save_state()] == [after[2]] * 3


def test_a_moment_after_the_end_waits_for_its_reset():
    env = make(num_envs=1, max_episode_steps=2)
    env.reset(seed=0)
    env.step([0])
    env.step([0])
    over = env.save_state()
    env.reset(seed=1)
    env.restore_state(over)
    assert env.step([1])[4]["chunk"].tolist() == [0]
    single = gymnasium.make(ID, world="analytic", max_episode_steps=5)
    single.reset(seed=0)
    single.unwrapped.restore_state(over[0])
    assert [single.step(0)[3] for _ in range(3)] == [False, False, True], "the limit is each environment's own"


def test_wrappers_cannot_change_the_spaces_that_it_computes_with():
    env = gymnasium.make_vec(
        "LightInteraction/PointGoal-v0", 2, vectorization_mode="vector_entry_point", world="analytic"
    )
    env.single_observation_space.spaces["rgb"] = gymnasium.spaces.Box(0, 1, (1,), np.float32)
    env.observation_space.spaces.clear()
    env.action_space.nvec[:] = 1
    frames = env.reset(seed=0)[0]["rgb"]
    assert frames.dtype == np.uint8
    assert frames.shape == (2, 4, 96, 128, 3)
    before = env.save_state()
    env.step(np.array([1, 1]))
    assert not np.array_equal(before[0].episode.pose, env.save_state()[0].episode.pose)


def test_pickling_keeps_arguments_and_never_weights(world_name):
    env = make(world_name, autoreset_mode=AutoresetMode.SAME_STEP, observation="frame")
    env.reset(seed=0)
    data = pickle.dumps(env)
    assert len(data) < 3000
    copy = pickle.loads(data)
    assert (copy.num_envs, copy.autoreset_mode, copy.max_episode_steps) == (3, AutoresetMode.SAME_STEP, 64)
    assert copy.single_observation_space == env.single_observation_space
    assert copy.world is env.world
    with pytest.raises(TypeError, match="would carry the weights"):
        pickle.dumps(make(AnalyticWorld()))


def test_rendering_shows_the_last_frame_of_every_world():
    env = make(render_mode="rgb_array")
    env.reset(seed=0)
    observations, *_ = env.step([FORWARD] * 3)
    for frame, observation in zip(env.render(), observations, strict=True):
        np.testing.assert_array_equal(frame, observation[-1])
    assert make().render() is None
    env.close()
    env.close()
    with pytest.raises(ResetNeeded):
        env.step([0] * 3)


def test_generators_are_those_of_single_environments():
    env, single = make(), gymnasium.make(ID, world="analytic")
    env.reset(seed=7)
    single.reset(seed=9)
    assert env.np_random_seed == (7, 8, 9)
    assert env.np_random[2].random() == single.unwrapped.np_random.random()
