from __future__ import annotations

import numpy as np
import pytest

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import STILL
from li_env.accel.geometry.trajectory import parse_trajectory
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import StartViews
from li_env.env import LightInteractionEnv
from li_env.evaluation.drive import begin, roll_out
from li_env.frames import episode_frames
from li_env.tasks.navigation import pose_at
from tests.analytic_world import SPEC, AnalyticWorld
from tests.film_world import SHAPES, FilmWorld

OFF = AccelConfig.preset("off")


def start(world, seed: int = 0):
    return begin(Engine(world, OFF), [seed], [{"start": 0}])[0]


def test_a_rollout_is_repeatable_and_its_report_complete():
    world = AnalyticWorld()
    motions = parse_trajectory("right-5, w-4", SPEC.motion)
    ticks: list[None] = []
    first = roll_out(world, OFF, start(world, 1), motions, 1, on_chunk=lambda: ticks.append(None))
    second = roll_out(world, OFF, start(world, 1), motions, seed=1)
    other = roll_out(world, OFF, start(world, 2), motions, seed=2)
    assert first.frames.shape == (12, 96, 128, 3)
    assert first.chunk_ends == (4, 8, 12)
    assert len(ticks) == 3
    np.testing.assert_array_equal(first.frames[0], world.start_views.images[0])
    np.testing.assert_array_equal(first.frames, second.frames)
    assert not np.array_equal(first.frames, other.frames)
    assert first.report["note"] == "trajectory completed by standing still for 2 latents"
    assert first.report["totals"]["frames"] == 12
    assert (first.report["seed"], first.report["preset"]) == (1, "off")


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_frame_is_there_once(shape):
    world = FilmWorld(*shape)
    counts = [world.spec.new_latents(chunk) for chunk in range(3)]
    rollout = roll_out(world, OFF, start(world), [STILL] * sum(counts), seed=0)
    np.testing.assert_array_equal(rollout.frames[:, 0, 0, 0], np.arange(len(rollout.frames)))
    assert rollout.chunk_ends[-1] == len(rollout.frames) == 1 + world.spec.frames_before(len(rollout.chunk_ends))


def test_a_degenerated_world_ends_the_rollout():
    class Broken(AnalyticWorld):
        def generate(self, requests):
            return [chunk * float("inf") for chunk in super().generate(requests)]

    world = Broken()
    rollout = roll_out(world, OFF, start(world), [STILL] * 7, seed=0)
    assert rollout.report["totals"]["degenerated"]
    assert rollout.report["totals"]["chunks"] == 1


def test_a_rollout_is_what_the_environment_shows():
    world = AnalyticWorld()
    poses = np.stack([pose_at((0.5, -1.0, 30.0)), pose_at((-0.5, 0.5, -60.0))])
    world.start_views = StartViews(world.start_views.images, poses, ["first", "second"])
    env = LightInteractionEnv(world, "off")
    for seed in range(3):
        env.reset(seed=seed)
        moments = [env.save_state()]
        for _ in range(2):
            env.step(1)
            moments.append(env.save_state())
        held = [env.actions.to_motion(1)] * (3 + 4)
        rollout = roll_out(world, OFF, begin(Engine(world, OFF), [seed], [{}])[0], held, seed)
        np.testing.assert_array_equal(rollout.frames, np.stack([each.frame for each in episode_frames(moments)]))
        assert rollout.start_index == moments[0].start_index
        assert rollout.report["episode_seed"] == moments[0].episode.seed


def test_an_option_that_is_not_known_is_refused():
    world = AnalyticWorld()
    with pytest.raises(ValueError, match="reset option key='strt' is unknown"):
        begin(Engine(world, OFF), [0], [{"strt": 1}])
