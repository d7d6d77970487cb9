from __future__ import annotations

import numpy as np
import pytest

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import STILL, CameraMotion, follow
from li_env.accel.runtime.engine import Engine
from li_env.evaluation.bench.settings import BenchSettings
from li_env.evaluation.camera_path import FixedMotionWorld, batches, commanded_courses, drive
from tests.analytic_world import AnalyticWorld

SETTINGS = BenchSettings(trajectories=("left-right", "forward-backward"), seeds=(0, 1, 2), chunks=4)


class AskedWorld(AnalyticWorld):
    asked = 0

    def feasible_motions(self, requests):
        self.asked += len(requests)
        return super().feasible_motions(requests)


def test_courses_hold_every_trajectory_and_seed_with_its_start_frame():
    world = AnalyticWorld()
    courses = commanded_courses(world, SETTINGS)
    assert [(course.trajectory, course.seed) for course in courses] == [
        (name, seed) for name in SETTINGS.trajectories for seed in SETTINGS.seeds
    ]
    assert [course.start for course in courses[:3]] == [0, 1, 0], "modulo the number of start frames"
    np.testing.assert_array_equal(courses[1].image, world.start_frames[1])
    assert [len(chunk) for chunk in courses[0].motions] == [3, 4, 4, 4]
    assert STILL not in courses[0].flat


def test_a_batch_never_mixes_trajectories():
    groups = batches(commanded_courses(AnalyticWorld(), SETTINGS), 2)
    assert [[(c.trajectory, c.seed) for c in group] for group in groups] == [
        [("left-right", 0), ("left-right", 1)],
        [("left-right", 2)],
        [("forward-backward", 0), ("forward-backward", 1)],
        [("forward-backward", 2)],
    ]


def test_the_followed_world_goes_through_walls_but_asks_its_own_limits():
    world = AskedWorld()
    (course,) = commanded_courses(world, BenchSettings(trajectories=("square",), seeds=(0,), chunks=4))
    course = course.along([CameraMotion(forward=0.75)] * 15, world)
    (chunks,) = drive(Engine(FixedMotionWorld(world), AccelConfig.preset("off")), [course])
    poses = np.concatenate([chunk.poses for chunk in chunks])
    np.testing.assert_allclose(poses[1:], follow(np.eye(4), course.flat))
    assert poses[-1, 2, 3] > 4.0, "beyond the wall of the room"
    assert world.asked == 4


def test_a_followed_world_moves_and_works_as_the_world_inside():
    """Its own way of following motions, faster methods and start views are used, not lost."""
    world = AskedWorld()
    world.follow = lambda pose, motions: follow(pose, [CameraMotion(forward=2 * m.forward) for m in motions])
    world.start_poses, world.start_prompts = np.stack([np.eye(4)] * 2), ["one", "two"]
    streamed = []
    world.generate_stream = lambda requests, count: streamed.append(count) or world.generate(list(requests))
    (course,) = commanded_courses(world, BenchSettings(trajectories=("forward-backward",), seeds=(1,), chunks=4))
    (chunks,) = drive(Engine(FixedMotionWorld(world), AccelConfig.preset("off")), [course])
    assert chunks[0].poses[-1, 2, 3] == pytest.approx(2 * 3 * 0.75)
    assert streamed == [1] * 4
    assert course.begun.episode.scene is not None
    assert not hasattr(FixedMotionWorld(world), "nothing")


def test_a_world_without_start_frames_is_refused():
    world = AnalyticWorld()
    del world.start_frames
    with pytest.raises(ValueError, match="world='analytic' has no start frames"):
        commanded_courses(world, SETTINGS)
