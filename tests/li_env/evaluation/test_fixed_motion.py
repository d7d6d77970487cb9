from __future__ import annotations

import numpy as np
import pytest
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion, follow, follow_many
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import BaseWorld, StartViews
from li_env.actions import Action
from li_env.env import LightInteractionEnv
from li_env.evaluation.bench.paths import commanded_paths
from li_env.evaluation.bench.settings import BenchSettings
from li_env.evaluation.camera_path import CameraPath
from li_env.evaluation.drive import begin, drive
from li_env.evaluation.fixed_motion import FixedMotionWorld
from li_env.worlds import load_world
from li_env.worlds.hy_worldplay.build import random_world as hy_worldplay
from li_env.worlds.matrix_game_3.build import random_world as matrix_game_3
from li_env.worlds.matrix_game_3.time_axis import ClipSizes
from tests.analytic_world import AnalyticWorld
from tests.li_env.worlds.hy_worldplay.test_world import SMALL as HY_SMALL
from tests.li_env.worlds.matrix_game_3.test_world import SMALL as MATRIX_SMALL


class AskedWorld(AnalyticWorld):
    asked = 0

    def feasible_motions(self, requests):
        self.asked += len(requests)
        return super().feasible_motions(requests)


def test_the_followed_world_goes_through_walls_but_asks_its_own_limits():
    world = AskedWorld()
    (path,) = commanded_paths(world, BenchSettings(trajectories=("square",), seeds=(0,), chunks=4))
    path = path.along([CameraMotion(forward=0.75)] * 15, world)
    (chunks,) = drive(Engine(FixedMotionWorld(world), AccelConfig.preset("off")), [path])
    poses = np.concatenate([chunk.poses for chunk in chunks])
    np.testing.assert_allclose(poses[1:], follow(np.eye(4), path.flat))
    assert poses[-1, 2, 3] > 4.0, "beyond the wall of the room"
    assert world.asked == 4


def test_a_followed_world_moves_and_works_as_the_world_inside():
    """Keep how the world follows motions, its faster methods and its start views."""
    world = AskedWorld()
    world.follow_many = lambda poses, motions: follow_many(poses, 2 * motions)
    world.start_views = StartViews(world.start_views.images, np.stack([np.eye(4)] * 2), ["one", "two"])
    streamed = []
    world.generate_stream = lambda requests: streamed.append(len(requests)) or world.generate(list(requests))
    (path,) = commanded_paths(world, BenchSettings(trajectories=("forward-backward",), seeds=(1,), chunks=4))
    (chunks,) = drive(Engine(FixedMotionWorld(world), AccelConfig.preset("off")), [path])
    assert chunks[0].poses[-1, 2, 3] == pytest.approx(2 * 3 * 0.75)
    assert streamed == [1] * 4
    assert path.begun.episode.scene is not None


def test_limits_that_are_not_timed_are_not_computed():
    world = AskedWorld()
    (path,) = commanded_paths(world, BenchSettings(trajectories=("square",), seeds=(0,), chunks=4))
    fixed = FixedMotionWorld(world, timed=False)
    assert isinstance(fixed, BaseWorld)
    drive(Engine(fixed, AccelConfig.preset("off")), [path])
    assert world.asked == 0


def worlds() -> dict[str, BaseWorld]:
    """Every kind of world, as small as it gets."""
    cpu = torch.device("cpu")
    return {
        "analytic": AnalyticWorld(),
        "hy_worldplay": hy_worldplay(HY_SMALL, cpu, (4, 8)),
        "matrix_game_3": matrix_game_3(cpu, MATRIX_SMALL, (4, 8), ClipSizes(25, 16)),
    }


@pytest.mark.parametrize("name", ["analytic", "hy_worldplay", "matrix_game_3", "freedoom"])
def test_bench_drives_the_path_that_the_environment_drives(name):
    world = load_world("freedoom") if name == "freedoom" else worlds()[name]
    env = LightInteractionEnv(world, "off")
    env.reset(seed=0, options={"start": 0})
    realised = []
    for action in (Action.TURN_RIGHT, Action.FORWARD):
        *_, info = env.step(action)
        count = world.spec.new_latents(len(realised))
        realised.append(tuple(CameraMotion(*row) for row in info["motion"][-count:].tolist()))
    engine = Engine(FixedMotionWorld(world), AccelConfig.preset("off"))
    (start,) = begin(engine, [0], [{"start": 0}])
    path = CameraPath("path", 0, 0, start, tuple(realised))
    (chunks,) = drive(engine, [path])
    np.testing.assert_allclose(chunks[-1].poses[-1], info["pose"], atol=1e-9)
