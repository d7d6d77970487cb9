"""Every frame reaches the user once and in order, for every kind of first chunk."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.runtime.chunk import PlannedChunk
from li_env.accel.runtime.engine import Engine
from li_env.env import LightInteractionEnv
from li_env.frames import engine_frames, episode_frames, frame_poses, intrinsics
from li_env.recording import read_video
from li_env.vector_env import LightInteractionVectorEnv
from li_env.wrappers import RecordAllFrames
from tests.film_world import SHAPES, FilmWorld, film_spec

STILL, FORWARD, TURN = 0, 1, 6


@pytest.fixture(params=SHAPES.values(), ids=SHAPES)
def world(request: pytest.FixtureRequest) -> FilmWorld:
    return FilmWorld(*request.param)


def test_new_rows_of_the_observations_joined_are_the_video(world):
    env = LightInteractionEnv(world)
    observation, info = env.reset(seed=0)
    shown = [observation[-info["new_frames"] :]]
    assert observation.shape == (world.spec.chunk_frames, 12, 16, 3) and not observation.any()
    assert info["new_frames"] == 1
    for chunk in range(4):
        before = observation
        observation, _, _, _, info = env.step(FORWARD)
        new = info["new_frames"]
        assert new == world.spec.new_frames(chunk)
        # A sliding window: what is not new was there before, as far as it reaches.
        old = len(observation) - new
        np.testing.assert_array_equal(observation[:old], before[len(before) - old :])
        shown.append(observation[len(observation) - new :])
    numbers = np.concatenate(shown)[:, 0, 0, 0]
    np.testing.assert_array_equal(numbers, np.arange(1 + world.spec.frames_before(4)))


def test_stop_shows_nothing_new(world):
    env = LightInteractionEnv(world, task="pointgoal")
    env.reset(seed=0)
    before, _, _, _, last_info = env.step(FORWARD)
    after, _, terminated, _, info = env.step(env.action_space.n - 1)
    assert terminated and info["new_frames"] == info["new_latents"] == 0
    np.testing.assert_array_equal(before["rgb"], after["rgb"])
    for key in ("frame_poses", "frame_times"):
        np.testing.assert_array_equal(last_info[key], info[key])
    assert list(episode_frames([env.save_state()])) == []


def test_the_video_holds_every_frame_once(world, tmp_path):
    env = RecordAllFrames(LightInteractionEnv(world), tmp_path)
    env.reset(seed=0)
    for _ in range(2):
        env.step(STILL)
    env.close()
    numbers = read_video(tmp_path / "episode-0.mp4").mean((1, 2, 3))
    # Limited-range video rounds grey levels.
    np.testing.assert_allclose(numbers, np.arange(1 + world.spec.frames_before(2)), atol=2)


def test_poses_times_and_actions_of_frames(world):
    env, each = LightInteractionEnv(world), world.spec.latent_frames
    env.reset(seed=0)
    states, infos = [env.save_state()], []
    for action in (FORWARD, TURN, STILL):
        infos.append(env.step(action)[4])
        states.append(env.save_state())
    records = list(episode_frames(states))
    assert [int(record.frame[0, 0, 0]) for record in records] == list(range(1 + world.spec.frames_before(3)))
    np.testing.assert_allclose([record.time for record in records], np.arange(len(records)) / 8.0)
    made = [world.spec.new_frames(chunk) for chunk in range(3)]
    assert [record.action for record in records] == [None, *np.repeat([FORWARD, TURN, STILL], made)]
    latents = records[::each] if each > 1 else records
    poses = states[-1].episode.history.poses
    np.testing.assert_array_equal([record.pose for record in latents], poses)
    # The same in info, with the start frame in front at time 0.
    last, rows = infos[-1], world.spec.chunk_frames
    padded = [records[0]] * max(0, rows - len(records)) + records[-rows:]
    np.testing.assert_array_equal(last["frame_poses"], [record.pose for record in padded])
    np.testing.assert_allclose(last["frame_times"], [record.time for record in padded])


def test_frames_between_latents_lie_on_the_way():
    spec = film_spec(2, 2, 4)
    env = LightInteractionEnv(FilmWorld(2, 2, 4), action_space="continuous")
    env.reset(seed=0)
    first = env.step([1.0, 0.0, 0.0])[4]["frame_poses"][-4:]
    np.testing.assert_allclose(first[:, 2, 3], spec.motion.translation * np.arange(1, 5) / 4)
    second = env.step([0.0, 0.0, 1.0])[4]["frame_poses"]
    turned = np.degrees(np.arctan2(second[:, 0, 2], second[:, 2, 2]))
    np.testing.assert_allclose(turned, spec.motion.rotation * np.arange(1, 9) / 4)
    np.testing.assert_allclose(second[:, :3, :3] @ second[:, :3, :3].transpose(0, 2, 1), np.tile(np.eye(3), (8, 1, 1)),
                               atol=1e-12)  # fmt: skip


def test_half_a_turn_between_latents_is_cut_into_equal_parts():
    """Cover half a turn, where the trace formula for the axis has no answer."""
    before, after = np.eye(4), np.diag([-1.0, 1.0, -1.0, 1.0])
    plan = ChunkPlan(1, "warmup", 0.0, (), (), (1.0, 0.0), AttentionPlan(), "A test.")
    path = PlannedChunk(plan, after[None], (CameraMotion(),), (CameraMotion(),))
    poses = frame_poses(film_spec(2, 2, 4), before, path)
    np.testing.assert_allclose(np.abs(poses[:, 0, 0]), np.abs(np.cos(np.radians([45, 90, 135, 180]))), atol=1e-12)
    np.testing.assert_array_equal(poses[-1], after)


def test_intrinsics_are_in_pixels_of_the_observation(world):
    _, info = LightInteractionEnv(world).reset(seed=0)
    np.testing.assert_allclose(info["intrinsics"], [[8.0, 0, 8.0], [0, 9.6, 6.0], [0, 0, 1]])
    np.testing.assert_allclose(intrinsics((0.5, 0.8), (24, 32))[:2], 2 * info["intrinsics"][:2])


def test_an_engine_gives_the_frames_of_the_environment(world):
    env = LightInteractionEnv(world)
    _, info = env.reset(seed=0)
    states = [env.save_state()]
    for action in (FORWARD, TURN):
        env.step(action)
        states.append(env.save_state())
    spec, engine = world.spec, Engine(world, AccelConfig.preset("all"))
    held = (CameraMotion(forward=spec.motion.translation), CameraMotion(yaw=spec.motion.rotation))
    generations, results = engine.start([world.start_views.images[0]], [""], [info["episode_seed"]]), []
    for chunk, motion in enumerate(held):
        generations, made = engine.step(generations, [(motion,) * spec.new_latents(chunk)])
        results += made
    records = list(engine_frames(spec, world.start_views.images[0], results))
    expected = list(episode_frames(states))
    np.testing.assert_array_equal([one.frame for one in records], [one.frame for one in expected])
    np.testing.assert_array_equal([one.pose for one in records], [one.pose for one in expected])
    assert [one.time for one in records] == [one.time for one in expected]
    actions = [[motion] * spec.new_frames(chunk) for chunk, motion in enumerate(held)]
    assert [one.action for one in records] == [None, *actions[0], *actions[1]]


@pytest.mark.parametrize("device_obs", [False, True])
def test_many_worlds_at_different_chunks_show_every_frame_once(world, device_obs):
    env = LightInteractionVectorEnv(2, world=world, device_obs=device_obs)
    frames, infos = env.reset(seed=0)
    video = [[torch.as_tensor(frames[row])[-1:]] for row in range(2)]
    for step in range(4):
        if step == 2:
            frames, _ = env.reset(options={"reset_mask": np.array([False, True])})
            video[1] = [torch.as_tensor(frames[1])[-1:]]
        frames, _, _, _, infos = env.step([FORWARD, STILL])
        for row, new in enumerate(infos["new_frames"]):
            video[row].append(torch.as_tensor(frames[row])[len(frames[row]) - new :])
    for row, chunks in enumerate((4, 2)):
        numbers = torch.cat(video[row])[:, 0, 0, 0].tolist()
        assert numbers == list(range(1 + world.spec.frames_before(chunks)))
