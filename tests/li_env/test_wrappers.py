from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from li_env.recording import read_video
from li_env.wrappers import RecordAllFrames


@pytest.mark.parametrize("observation", ["chunk", "frame"])
def test_every_frame_of_every_episode_is_written(tmp_path, world_name, observation):
    env = RecordAllFrames(
        gymnasium.make("LightInteraction/Explore-v0", world=world_name, observation=observation), tmp_path
    )
    env.reset(seed=0, options={"start": 0})
    for _ in range(3):
        env.step(6)
    last = env.unwrapped.last_frames()[-1]
    env.reset(seed=1)
    env.step(1)
    env.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["episode-0.mp4", "episode-1.mp4"]
    frames = read_video(tmp_path / "episode-0.mp4")
    spec = env.unwrapped.world.spec
    assert len(frames) == 1 + spec.frames_before(3)
    assert np.abs(frames[-1].astype(int) - last).mean() < 6
    assert len(read_video(tmp_path / "episode-1.mp4")) == 1 + spec.frames_before(1)


def test_stop_adds_no_frames(tmp_path):
    env = RecordAllFrames(gymnasium.make("LightInteraction/PointGoal-v0", world="analytic"), tmp_path)
    env.reset(seed=0)
    env.step(1)
    env.step(9)
    env.close()
    frames = read_video(tmp_path / "episode-0.mp4")
    assert len(frames) == 1 + env.unwrapped.world.spec.new_frames(0)


def test_an_episode_without_steps_leaves_no_file(tmp_path, world_name):
    env = RecordAllFrames(gymnasium.make("LightInteraction/Explore-v0", world=world_name), tmp_path / "videos")
    env.reset(seed=0)
    env.close()
    assert not (tmp_path / "videos").exists()


def test_other_environments_are_refused(tmp_path):
    with pytest.raises(ValueError, match="env=CartPoleEnv cannot be recorded here; allowed: LightInteractionEnv"):
        RecordAllFrames(gymnasium.make("CartPole-v1"), tmp_path)


def test_gymnasiums_own_wrappers_go_round_single_and_vector_environments(world_name):
    own = gymnasium.wrappers
    small = own.GrayscaleObservation(
        own.ResizeObservation(
            gymnasium.make("LightInteraction/Explore-v0", world=world_name, observation="frame"), (24, 32)
        )
    )
    stacked = own.FrameStackObservation(small, 4)
    observation, _ = stacked.reset(seed=0)
    assert observation.shape == (4, 24, 32)
    before = observation[-1]
    observation = stacked.step(stacked.action_space.sample())[0]
    np.testing.assert_array_equal(observation[-2], before)
    many = gymnasium.make_vec(
        "LightInteraction/Explore-v0", 3, vectorization_mode="vector_entry_point", world=world_name, observation="frame"
    )
    many = own.vector.GrayscaleObservation(own.vector.ResizeObservation(many, (24, 32)))
    assert many.reset(seed=0)[0].shape == (3, 24, 32)
    assert many.step(many.action_space.sample())[0].shape == (3, 24, 32)
