"""The real game behind the environment's interface: same spaces, its own pictures, its own walls."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import li_env  # noqa: F401  (registers the ids)
from li_env.accel.geometry.camera import CameraMotion, move
from li_env.accel.world import BaseWorld
from li_env.doom.known_maps import known_map
from li_env.doom.maps import write_wad
from li_env.doom.renderer import DoomRenderer
from li_env.doom.walking import doom_poses
from li_env.errors import MissingExtraError
from li_env.tasks.navigation import pose_at
from li_env.worlds.freedoom.start_frames import StartFrames
from li_env.worlds.freedoom.weights import packaged_folder
from li_env.worlds.freedoom_game.world import FreedoomGame
from li_env.worlds.registry import load_world

pytest.importorskip("vizdoom")

STARTS = StartFrames.load(packaged_folder())
IDS = [f"LightInteraction/{name}-v0" for name in ("Explore", "PointGoal", "ImageGoal")]
FORWARD, TURN_RIGHT, STOP = 1, 6, 9


@pytest.fixture(scope="module")
def game() -> FreedoomGame:
    return load_world("freedoom_game")


@pytest.mark.parametrize("name", IDS)
def test_passes_the_checkers(game, name):
    env = gymnasium.make(name, world="freedoom_game", observation="frame", render_mode="rgb_array").unwrapped
    check_env(env)
    check_env_sb3(env, warn=False)
    assert env.world is game


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("observation", ["chunk", "frame"])
def test_spaces_are_those_of_the_learned_world(game, name, observation):
    learned, real = (gymnasium.make(name, world=w, observation=observation) for w in ("freedoom", "freedoom_game"))
    assert learned.observation_space == real.observation_space
    assert learned.action_space == real.action_space
    for env in (learned, real):
        env.reset(seed=0)
    assert learned.step(FORWARD)[4].keys() == real.step(FORWARD)[4].keys()


def test_an_episode_begins_as_in_the_learned_world(game):
    learned, real = (gymnasium.make(IDS[2], world=w) for w in ("freedoom", "freedoom_game"))
    for episode in (0, 7, 71):
        (one, first), (two, second) = (env.reset(seed=4, options={"episode": episode}) for env in (learned, real))
        np.testing.assert_equal(one, two)
        np.testing.assert_equal(first, second)


def test_the_first_chunk_shows_the_start_frame_again_and_then_the_game(game, tmp_path):
    env = gymnasium.make(IDS[1], world="freedoom_game")
    _, start = env.reset(seed=0, options={"episode": 11})
    shown, _, _, _, info = env.step(TURN_RIGHT)
    np.testing.assert_array_equal(shown["rgb"][0], game.start_views.images[11])
    write_wad([known_map(STARTS.map_seeds[11].item())], tmp_path / "map.wad")
    x, z, yaw = STARTS.map_poses[11]
    np.testing.assert_allclose(start["pose"], pose_at((x, z, yaw)), atol=1e-5)
    np.testing.assert_allclose(info["pose"], pose_at((x, z, yaw + 45)), atol=1e-5)
    with DoomRenderer(tmp_path / "map.wad") as renderer:
        expected = renderer.render(0, doom_poses(np.array([[x, z, yaw + 15 * k] for k in range(4)])))
    np.testing.assert_array_equal(shown["rgb"], expected)


def test_walls_stop_the_agent_and_it_never_leaves_the_map(game):
    env = gymnasium.make(IDS[1], world="freedoom_game")
    rng = np.random.default_rng(0)
    collisions = 0
    for episode in range(4):
        env.reset(seed=0, options={"episode": episode})
        segments = known_map(STARTS.map_seeds[episode].item()).segments
        for _ in range(8):
            *_, info = env.step(int(rng.choice([FORWARD, FORWARD, TURN_RIGHT])))
            collisions += info["blocked"] > 0.1
            for pose in info["latent_poses"]:
                position = doom_poses(np.array([[pose[0, 3], pose[2, 3], 0.0]]))[0, :2]
                start, end = segments[:, :2], segments[:, 2:]
                along = end - start
                share = np.clip(((position - start) * along).sum(1) / (along**2).sum(1), 0, 1)
                assert np.hypot(*(position - start - share[:, None] * along).T).min() > 15.9
    assert collisions > 3


def test_a_batch_gives_the_episodes_one_by_one(game):
    runner = gymnasium.make(IDS[1], world="freedoom_game").unwrapped.runner
    options = [{"episode": index} for index in (3, 4, 3, 9)]
    paths = [[1, 6, 1, 2], [6, 6, 1, 1], [5, 1, STOP, None], [4, 1, 1, 8]]

    def generators():
        return [np.random.default_rng(index) for index in range(4)]

    together = runner.start(generators(), options)
    for turn in range(4):
        moving = [index for index in range(4) if paths[index][turn] is not None]
        after = runner.step([together[index] for index in moving], [paths[index][turn] for index in moving])
        for index, state in zip(moving, after, strict=True):
            together[index] = state
    for index, generator in enumerate(generators()):
        (alone,) = runner.start([generator], [options[index]])
        for action in paths[index]:
            if action is not None:
                (alone,) = runner.step([alone], [action])
        np.testing.assert_array_equal(alone.frames, together[index].frames)
        np.testing.assert_equal(runner.info(alone), runner.info(together[index]))
    assert runner.terminated(together[2])


def test_another_pose_shows_the_view_from_there(game, tmp_path):
    env = gymnasium.make(IDS[0], world="freedoom_game").unwrapped
    x, z, yaw = STARTS.map_poses[3].astype(float)
    write_wad([known_map(STARTS.map_seeds[3].item())], tmp_path / "map.wad")
    with DoomRenderer(tmp_path / "map.wad") as renderer:
        expected = renderer.render(0, doom_poses(np.array([[x, z, yaw + 90]])))[0]
    frames, info = env.reset(seed=0, options={"start": 3, "pose": pose_at((x, z, yaw + 90))})
    assert all(np.array_equal(frame, expected) for frame in frames)
    np.testing.assert_allclose(info["pose"], pose_at((x, z, yaw + 90)), atol=1e-9)
    own, _ = env.reset(seed=0, options={"start": 3, "pose": game.start_views.poses[3]})
    assert np.array_equal(own[-1], game.start_views.images[3])
    tilted = pose_at((x, z, yaw)) @ move(np.eye(4), CameraMotion(pitch=10.0))
    for pose, message in ((tilted, "allowed in the game: level"), (pose_at((1e4, 0, 0)), "is outside map")):
        with pytest.raises(ValueError, match=message):
            env.reset(seed=0, options={"start": 3, "pose": pose})


def test_another_map_by_its_prompt_is_shown_from_the_pose(game):
    env = gymnasium.make(IDS[0], world="freedoom_game").unwrapped
    x, y = known_map(5).start
    pose = pose_at((-y / 32, x / 32, 30.0))
    frames, _ = env.reset(seed=0, options={"prompt": "map 5", "pose": pose})
    assert np.array_equal(frames[-1], game.render_start("map 5", pose))
    assert not any(np.array_equal(frames[-1], frame) for frame in game.start_views.images)


def test_any_pose_of_any_map_can_be_a_start(game):
    env = gymnasium.make(IDS[0], world="freedoom_game").unwrapped
    x, y = known_map(5).start
    pose = pose_at((-y / 32, x / 32, 30.0))
    image = np.zeros((96, 128, 3), np.uint8)
    env.reset(seed=0, options={"image": image, "prompt": "map 5", "pose": pose})
    *_, info = env.step(FORWARD)
    assert info["latent_poses"][0] == pytest.approx(pose)
    for position in ((1000.0, 1000.0, 0.0), (-y / 32, x / 32 + 500, 0.0)):
        env.reset(seed=0, options={"image": image, "prompt": "map 5", "pose": pose_at(position)})
        with pytest.raises(ValueError, match="is outside map 5: inside a wall or outside of the rooms"):
            env.step(FORWARD)


@pytest.mark.parametrize("prompt", ["", "map", "map -1", "map x", "a room", "map 1234567890"])
def test_a_prompt_that_names_no_map_is_refused(game, prompt):
    env = gymnasium.make(IDS[0], world="freedoom_game")
    with pytest.raises(ValueError, match=f"prompt={prompt!r} names no map of the game; allowed: 'map N'"):
        env.reset(seed=0, options={"image": np.zeros((96, 128, 3), np.uint8), "prompt": prompt})


def test_it_is_a_world_and_needs_no_weights(game):
    assert isinstance(game, BaseWorld)
    with pytest.raises(ValueError, match="weights='x' are of no use"):
        load_world("freedoom_game", weights="x")
    with pytest.raises(ValueError, match="workers=-1 is not allowed; use a whole number from 0 up"):
        FreedoomGame(workers=-1)


@pytest.mark.parametrize("engines", [0, -1, True, 2.0, "8"])
def test_a_number_of_engines_that_is_none_is_refused(engines):
    with pytest.raises(ValueError, match="engines=.* is not allowed; use a whole number from 1 up"):
        load_world("freedoom_game", engines=engines)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_process_keeps_as_many_engines_as_asked_for_and_shows_the_same(game, workers):
    few = load_world("freedoom_game", workers=workers, engines=1)
    assert few is not game and few is load_world("freedoom_game", workers=workers, engines=1)
    try:
        for index in (0, 1, 0):
            prompt, pose = game.start_views.prompts[index], game.start_views.poses[index]
            np.testing.assert_array_equal(few.render_start(prompt, pose), game.render_start(prompt, pose))
            assert workers or len(few.renderer._running) == 1
    finally:
        few.close()


def test_without_vizdoom_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "vizdoom", None)
    with pytest.raises(MissingExtraError, match=r"'freedoom_game' needs ViZDoom: pip install 'li-env\[doom\]'"):
        FreedoomGame()
