"""The environment's contract, on every world in `WORLDS`."""

from __future__ import annotations

import gc
import pickle
import warnings
import weakref
from dataclasses import replace
from itertools import product
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordVideo
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import li_env  # noqa: F401  (registers the ids)
from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion, move
from li_env.actions import ACTION_SPACES
from li_env.env import LightInteractionEnv
from li_env.episodes import OBSERVATIONS
from li_env.infos import RegimeCode
from li_env.recording import read_video
from li_env.state import EpisodeState
from tests.analytic_world import AnalyticWorld
from tests.narrow_freedoom import NAME

ID = "LightInteraction/Explore-v0"
FORWARD, TURN_RIGHT = 1, 6


def make(world_name: str, **kwargs: object) -> LightInteractionEnv:
    env = gymnasium.make(ID, world=world_name, **kwargs).unwrapped
    assert isinstance(env, LightInteractionEnv)
    return env


def play(env: gymnasium.Env, actions: list[int]) -> np.ndarray:
    return np.stack([env.step(action)[0] for action in actions])


@pytest.mark.parametrize(
    ("world_name", "action_space", "observation"),
    [
        *product(["analytic"], ACTION_SPACES, OBSERVATIONS),
        *((NAME, "discrete", "chunk"), (NAME, "continuous", "frame")),  # a chunk takes a third of a second here
    ],
)
def test_passes_the_checkers_of_gymnasium_and_sb3(world_name, action_space, observation):
    env = make(world_name, action_space=action_space, observation=observation, render_mode="rgb_array")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env)
    assert [str(item.message) for item in caught if "WARN" in str(item.message)] == []
    check_env_sb3(env, warn=False)


def test_spaces_and_metadata_follow_the_world(world_name):
    env = make(world_name)
    spec = env.world.spec
    assert env.observation_space.shape == (spec.chunk_frames, *spec.frame_size, 3)
    assert make(world_name, observation="frame").observation_space.shape == (*spec.frame_size, 3)
    assert env.metadata["render_fps"] * spec.step_frames == pytest.approx(spec.fps)
    assert LightInteractionEnv.metadata["render_fps"] == 4, "the class must not change with an instance"


def test_reset_shows_the_start_frame_and_step_new_frames(world_name):
    env = make(world_name)
    image = env.world.start_views.images[1]
    observation, info = env.reset(seed=0, options={"start": 1})
    assert info["start_index"] == 1
    np.testing.assert_array_equal(observation, np.repeat(image[None], len(observation), axis=0))
    frames, *_ = env.step(FORWARD)
    assert len({frame.tobytes() for frame in frames}) > 1
    frame_env = make(world_name, observation="frame")
    frame_env.reset(seed=0, options={"start": 1})
    np.testing.assert_array_equal(frame_env.step(FORWARD)[0], frames[-1])


def test_same_seed_and_actions_give_the_same_frames_and_another_seed_others(world_name):
    env, other = make(world_name), make(world_name)
    actions = [1, 6, 1, 4, 2] if world_name == "analytic" else [1, 6]
    start = {"start": 0}
    env.reset(seed=7, options=start)
    first = play(env, actions)
    other.reset(seed=7, options=start)
    np.testing.assert_array_equal(first, play(other, actions))
    env.reset(seed=8, options=start)
    assert not np.array_equal(first, play(env, actions))


def test_reset_without_a_seed_goes_on_to_another_episode(world_name):
    env = make(world_name)
    first, _ = env.reset(seed=3), env.step(FORWARD)
    second = env.reset()
    assert first[1]["episode_seed"] != second[1]["episode_seed"]


def test_info_tells_poses_motion_and_plan_in_arrays_of_fixed_shape(world_name):
    env = make(world_name)
    spec = env.world.spec
    _, info = env.reset(seed=0, options={"pose": np.eye(4)})
    np.testing.assert_array_equal(info["pose"], np.eye(4))
    pose = np.eye(4)
    for chunk in range(2):
        _, _, _, _, info = env.step(TURN_RIGHT)
        count = spec.latents_in_chunk(chunk) - (chunk == 0)
        for _ in range(count):
            pose = move(pose, CameraMotion(yaw=spec.motion.rotation))
        np.testing.assert_allclose(info["pose"], pose, atol=1e-9)
        np.testing.assert_allclose(info["latent_poses"][-1], pose, atol=1e-9)
        np.testing.assert_allclose(info["frame_poses"][-1], pose, atol=1e-9)
        assert info["latent_poses"].shape == (spec.chunk_latents, 4, 4)
        assert info["motion"].shape == (spec.chunk_latents, 4)
        np.testing.assert_allclose(info["motion"][-count:, 0], spec.motion.rotation)
        assert info["new_latents"] == count
        assert info["chunk"] == chunk + 1
        warm = chunk < env.preset.in_world(spec.name).warmup_chunks
        assert RegimeCode(info["regime"]).name.lower() == env.plan["regime"] == ("warmup" if warm else "explore")
        assert env.plan["chunk"] == chunk
        assert info["denoising_steps"] == len(env.plan["sigmas"]) - 1
        assert info["context_latents"] == info["recent_latents"] + info["retrieved_latents"] == 4 * chunk


def test_measured_times_are_in_info_only_when_asked_for(world_name):
    env = make(world_name, timings=True)
    keys = {f"milliseconds_{stage}" for stage in ("motion", "plan", "generate", "decode")}
    assert all(env.reset(seed=0)[1][key] == 0.0 for key in keys)
    info = env.step(FORWARD)[4]
    assert all(info[key] >= 0 for key in keys) and info["milliseconds_generate"] > 0
    other = make(world_name)
    assert keys.isdisjoint(other.reset(seed=0)[1]) and keys.isdisjoint(other.step(FORWARD)[4])


def test_info_and_observation_are_not_views_of_the_state(world_name):
    env = make(world_name)
    env.reset(seed=0)
    observation, _, _, _, info = env.step(FORWARD)
    saved = env.save_state()
    observation[:] = 0
    info["pose"][:] = 0
    info["frame_poses"][:] = 0
    env.plan["attention"]["kind"] = "broken"
    assert saved.frames.any()
    assert env.plan["attention"]["kind"] == "dense"
    np.testing.assert_array_equal(env.runner.info(saved)["pose"][3], [0, 0, 0, 1])


def test_infos_stack_in_a_vector_environment(world_name):
    venv = gymnasium.make_vec(ID, num_envs=2, vectorization_mode="sync", world=world_name)
    venv.reset(seed=[1, 2])
    venv.step(np.array([0, 1]))
    _, rewards, _, _, infos = venv.step(np.array([0, TURN_RIGHT]))
    assert infos["pose"].shape == (2, 4, 4)
    assert infos["similarity"].shape == (2,)
    assert rewards[0] == 0 < rewards[1]
    venv.close()


def test_time_limit_truncates(world_name):
    env = gymnasium.make(ID, world=world_name, max_episode_steps=2)
    env.reset(seed=0)
    assert env.step(0)[2:4] == (False, False)
    assert env.step(0)[2:4] == (False, True)
    assert gymnasium.spec(ID).max_episode_steps == 64


def test_a_pose_in_the_options_is_where_the_episode_starts(world_name):
    env = make(world_name)
    start = move(np.eye(4), CameraMotion(yaw=30.0, forward=1.0))
    _, info = env.reset(seed=0, options={"pose": start})
    np.testing.assert_array_equal(info["pose"], start)
    _, _, _, _, info = env.step(0)
    np.testing.assert_allclose(info["pose"], start, atol=1e-12)


def test_an_image_of_any_size_is_covered_and_cropped(world_name):
    env = make(world_name)
    height, width = env.world.spec.frame_size
    exact = np.arange(height * width * 3, dtype=np.uint32).astype(np.uint8).reshape(height, width, 3)
    observation, info = env.reset(options={"image": exact})
    np.testing.assert_array_equal(observation[0], exact)
    assert info["start_index"] == -1
    assert env.image_note is None
    observation, info = env.reset(options={"image": np.full((50, 300, 3), 77, np.uint8)})
    assert "image of 50 x 300 scaled by" in env.image_note and "cropped" in env.image_note
    assert np.all(observation == 77)
    env.reset(seed=0)
    assert env.image_note is None


def test_save_restore_and_fork_are_exact(world_name):
    env = make(world_name)
    env.reset(seed=5)
    play(env, [1, 6])
    saved = env.save_state()
    actions = (1, 1, 6) if world_name == "analytic" else (1, 6)  # the second one is past the warm-up
    ahead = [env.step(action) for action in actions]
    env.restore_state(saved)
    again = [env.step(action) for action in actions]
    fork = make(world_name)
    observation, info = fork.reset(seed=99, options={"state": saved})
    np.testing.assert_array_equal(observation, saved.frames)
    assert info["chunk"] == 2
    forked = [fork.step(action) for action in actions]
    for one, two, three in zip(ahead, again, forked, strict=True):
        for other in (two, three):
            np.testing.assert_array_equal(one[0], other[0])
            assert one[1:4] == other[1:4]
            np.testing.assert_equal(one[4], other[4])
    fork.restore_state(saved)
    assert not np.array_equal(fork.step(2)[0], ahead[0][0]), "another action must lead elsewhere"


def test_a_saved_state_does_not_change_and_costs_no_copy(world_name):
    env = make(world_name)
    env.reset(seed=5)
    play(env, [1])
    saved = env.save_state()
    assert env.save_state() is saved
    before = (saved.frames.copy(), saved.task.seen.cells, saved.episode.chunk)
    play(env, [6, 6, 1])
    np.testing.assert_array_equal(saved.frames, before[0])
    assert (saved.task.seen.cells, saved.episode.chunk) == before[1:]
    with pytest.raises(ValueError, match="read-only"):
        saved.frames[0] = 0


def test_a_moment_that_nobody_saved_is_forgotten(world_name):
    env = make(world_name)
    env.reset(seed=5)
    env.step(1)
    state, frames = (weakref.ref(thing) for thing in (env._state, env._state.frames))
    env.step(1)
    gc.collect()
    assert state() is None
    assert frames() is None


def test_a_state_of_another_world_or_with_other_options_is_refused(world_name):
    env = make(world_name)
    env.reset(seed=0)
    saved = env.save_state()
    with pytest.raises(ValueError, match="reset option 'state' excludes the others; given with it: prompt"):
        env.reset(options={"state": saved, "prompt": "x"})
    foreign = replace(saved, spec=replace(saved.spec, name="elsewhere"))
    assert isinstance(foreign, EpisodeState)
    with pytest.raises(ValueError, match="state of world 'elsewhere'; allowed here"):
        env.restore_state(foreign)


@pytest.mark.parametrize("world_name", ["analytic", "freedoom_game"])
def test_reward_is_the_newly_seen_share_of_one_view(world_name):
    """Turn in the game for the learned world, too: its camera and its steps, without the time that pictures take."""
    if world_name == "freedoom_game":
        pytest.importorskip("vizdoom", reason="needs the extra doom")
    env = make(world_name)
    env.reset(seed=0)
    assert env.step(0)[1] == 0.0, "standing still shows nothing new"
    rewards, cells = [], 0
    for _ in range(8):  # 8 chunks of 15 degrees per latent turn more than once around
        _, reward, _, _, info = env.step(TURN_RIGHT)
        rewards.append(reward)
        cells += info["new_cells"]
        assert reward == pytest.approx(info["new_cells"] / (np.radians(env.world.spec.fov[0]) / 2 * 16**2))
    assert sum(rewards) > 1
    assert rewards[-1] == 0.0, "a second look at the same views"


class BrokenWorld(AnalyticWorld):
    """Its third chunk is not a number."""

    def generate(self, requests):
        latents = super().generate(requests)
        pairs = zip(latents, requests, strict=True)
        return [chunk * float("nan") if request.plan.chunk == 2 else chunk for chunk, request in pairs]


def test_a_degenerated_world_truncates_and_says_so():
    env = gymnasium.make(ID, world=BrokenWorld())
    env.reset(seed=0)
    outcomes = [env.step(FORWARD) for _ in range(3)]
    assert [outcome[3] for outcome in outcomes] == [False, False, True]
    assert [outcome[4]["degenerated"] for outcome in outcomes] == [False, False, True]
    assert outcomes[2][0] in env.observation_space
    with pytest.raises(ResetNeeded, match="degenerated"):
        env.step(FORWARD)
    _, info = env.reset()
    assert not info["degenerated"]


def test_environments_share_the_weights_and_nothing_else(world_name):
    one, two, alone = make(world_name), make(world_name), make(world_name)
    assert one.world is two.world
    for env, seed in ((one, 1), (two, 2), (alone, 1)):
        env.reset(seed=seed)
    mixed = []
    for action in (1, 6):
        mixed.append(one.step(action)[0])
        two.step(2)
    np.testing.assert_array_equal(np.stack(mixed), play(alone, [1, 6]))


def test_pickling_keeps_arguments_and_never_weights(world_name):
    env = make(world_name, action_space="continuous", observation="frame")
    env.reset(seed=0)
    data = pickle.dumps(env)
    assert len(data) < 2000
    copy = pickle.loads(data)
    assert copy.actions.name == "continuous"
    assert copy.world is env.world
    with pytest.raises(TypeError, match="would carry the weights"):
        pickle.dumps(LightInteractionEnv(AnalyticWorld()))


def test_record_video_writes_one_frame_per_step(world_name, tmp_path: Path):
    env = RecordVideo(gymnasium.make(ID, world=world_name, render_mode="rgb_array"), str(tmp_path / "videos"))
    env.reset(seed=0)
    for _ in range(3):
        env.step(FORWARD)
    env.close()
    (path,) = (tmp_path / "videos").glob("*.mp4")
    assert len(read_video(path)) == 4


def test_human_mode_shows_the_frames_of_the_step():
    env = make("analytic", render_mode="human")
    env.reset(seed=0, options={"start": 0})
    observation, *_ = env.step(FORWARD)
    assert env.render() is None
    shown = env._window.shown()
    scale = shown.shape[0] // observation.shape[1]
    np.testing.assert_array_equal(shown[::scale, ::scale], observation[-1])
    env.close()
    env.close()


def test_human_mode_without_pygame_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pygame", None)
    env = make("analytic", render_mode="human")
    with pytest.raises(ImportError, match=r"render_mode='human' needs pygame-ce: pip install 'li-env\[play\]'"):
        env.reset(seed=0)


def test_a_config_object_is_as_good_as_its_name(world_name):
    env = make(world_name, preset=AccelConfig.preset("off"))
    env.reset(seed=0)
    named = make(world_name, preset="off")
    named.reset(seed=0)
    np.testing.assert_array_equal(play(env, [1, 2]), play(named, [1, 2]))
