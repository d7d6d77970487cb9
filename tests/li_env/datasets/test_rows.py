"""Row i is frame i and the action that leads to frame i + 1."""

from __future__ import annotations

import numpy as np
import pytest

from li_env.accel.geometry.camera import CameraMotion, move
from li_env.datasets.episode_rows import row_checks
from li_env.datasets.frame_store import FrameStore
from li_env.datasets.recorder import Player, Recorder
from li_env.datasets.rows import make_rows
from li_env.episodes import open_episodes
from li_env.rollouts import play_episodes
from tests.analytic_world import AnalyticWorld
from tests.film_world import SHAPES, FilmWorld

STEPS = 5


def wander(views):
    """Turn, walk or stop; actions that differ from step to step."""
    actions = []
    for view in views:
        action = np.zeros(4, np.float32)
        action[view.generator.integers(3)] = view.generator.uniform(-1, 1)
        action[3] = view.memory is not None and view.memory == 3 and view.info["episode_seed"] % 2
        actions.append(action)
    return actions, [(view.memory or 0) + 1 for view in views]


def played(world, noise=0.0, teach=None):
    runner = open_episodes(world, "all", "continuous", "frame", task="pointgoal")
    spec = runner.spec
    store = FrameStore(1 + spec.frames_before(STEPS), (*spec.frame_size, 3), 4)
    recorder = Recorder(Player(runner, wander, teach), runner.action_space, True, noise, store)
    for episode in play_episodes(runner, recorder.act, 6, max_steps=STEPS, batch=4):
        recording = recorder.finish(episode, runner.observation(episode.last))
        rows = make_rows(episode, recording, runner.task, runner.spec, "go", teach is not None or noise > 0)
        yield episode, runner, rows


@pytest.fixture(params=["room", *SHAPES])
def world(request):
    return AnalyticWorld() if request.param == "room" else FilmWorld(*SHAPES[request.param])


def turns_as_told(rows, spec) -> bool:
    """Tell whether each row's camera turns by what its action asks for: turns are never blocked."""
    asked = rows["action"][:, 2].astype(np.float64) * spec.motion.rotation / spec.latent_frames
    asked[rows["action"][:, 3] > 0.5] = 0.0
    return bool(np.allclose(rows["camera.motion"][:, 0], asked, atol=1e-4))


def test_as_many_rows_as_frames_and_every_row_leads_to_the_next_frame(world):
    stops = 0
    for episode, runner, made in played(world):
        spec, rows = runner.spec, made.rows
        stopped = bool(rows["action"][-1, 3] > 0.5)
        stops += stopped
        frames = 1 + sum(spec.new_frames(chunk) for chunk in range(len(episode.actions) - stopped))
        assert len(made.frames) == frames
        assert made.count == frames - 1 + stopped == len(rows["next.reward"])
        if isinstance(world, FilmWorld):
            assert made.frames[:, 0, 0, 0].tolist() == list(range(frames)), "each frame once, the first as it was given"
        for row, motion in enumerate(rows["camera.motion"][: frames - 1]):
            yaw, pitch, right, forward = motion.tolist()
            reached = move(made.poses[row], CameraMotion(yaw, pitch, right, forward))
            np.testing.assert_allclose(reached, made.poses[row + 1], atol=1e-9)
        assert turns_as_told(rows, spec)
        # The realised motion of a step, as info has it, is the sum of those of its frames.
        for step, info in enumerate(episode.infos[1:]):
            mine = rows["camera.motion"][rows["step.index"] == step]
            np.testing.assert_allclose(
                mine[:, 0].sum(), info["motion"][-info["new_latents"] or 99 :, 0].sum(), atol=1e-6
            )
            if spec.latent_frames == 1 and info["new_latents"]:
                np.testing.assert_allclose(mine, info["motion"][-info["new_latents"] :], atol=1e-9)
        assert rows["next.reward"].sum() == pytest.approx(episode.rewards.sum(), rel=1e-5)
        assert rows["next.done"].tolist() == [False] * (made.count - 1) + [True]
        assert rows["next.truncated"][-1] == episode.truncated
    assert stops, "some episodes end by stop"


def test_an_action_that_is_shifted_by_one_row_is_found(world):
    found = []
    for _, runner, made in played(world):
        assert turns_as_told(made.rows, runner.spec)
        shifted = {**made.rows, "action": np.roll(made.rows["action"], 1, axis=0)}
        found.append(not turns_as_told(shifted, runner.spec))
    assert any(found)


def test_the_state_is_what_the_agent_saw(world):
    for _, _, made in played(world):
        first = np.flatnonzero(np.diff(made.rows["step.index"], prepend=-1))
        sensors = made.sensors["pointgoal"][made.rows["step.index"][first]]
        np.testing.assert_array_equal(made.rows["observation.state"][first, :2], sensors)
        np.testing.assert_allclose(
            made.rows["observation.state"][1:, 2:], made.rows["camera.motion"][:-1].astype(np.float32), atol=1e-6
        )


def test_noise_changes_the_action_that_ran_and_not_the_one_to_imitate():
    world = AnalyticWorld()
    plain = [made for _, _, made in played(world)]
    noisy = [made for _, _, made in played(world, noise=0.5)]
    # The agent draws as before, whatever ran.
    for one, two in zip(sorted(plain, key=lambda m: m.number), sorted(noisy, key=lambda m: m.number), strict=True):
        count = min(one.count, two.count)
        np.testing.assert_array_equal(one.rows["action"][:count], two.rows["teacher.action"][:count])
    different = [(made.rows["action"] != made.rows["teacher.action"]).any(1).mean() for made in noisy]
    assert 0.2 < np.mean(different) < 0.8


def test_a_teacher_labels_every_row():
    label = np.array([1, 0, 0.25, 0], np.float32)
    for _, _, made in played(AnalyticWorld(), teach=lambda views: [label] * len(views)):
        assert (made.rows["teacher.action"] == label).all()


def test_a_check_per_row():
    _, _, made = next(iter(played(AnalyticWorld())))
    before = row_checks(made.rows)
    made.rows["action"][3, 0] += 1e-3
    after = row_checks(made.rows)
    different = [row for row in range(made.count) if before[8 * row : 8 * row + 8] != after[8 * row : 8 * row + 8]]
    assert different == [3]
