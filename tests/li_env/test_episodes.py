"""A batch of episodes equals the same episodes one by one."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from li_env.accel.config import AccelConfig
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import StartViews
from li_env.actions import ActionMapper
from li_env.episodes import EpisodeRunner
from tests.analytic_world import AnalyticWorld


def episodes(world: AnalyticWorld | None = None) -> EpisodeRunner:
    world = world or AnalyticWorld()
    return EpisodeRunner(
        Engine(world, AccelConfig.preset("off")), ActionMapper("discrete", world.spec.motion), "chunk", False
    )


def generators(*seeds: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in seeds]


def test_a_batch_equals_its_episodes_even_at_different_chunks():
    runner = episodes()
    actions = {1: [1, 1, 6, 1], 2: [6, 5, 1, 2], 3: [3, 1, 1, 1]}
    alone = {}
    for seed, path in actions.items():
        (state,) = runner.start(generators(seed), [{}])
        for action in path:
            (state,) = runner.step([state], [action])
        alone[seed] = state
    states = runner.start(generators(1, 2, 3), [{}, {}, {}])
    (ahead,) = runner.step(states[:1], [1])  # the first one runs ahead of the others
    states = [ahead, *states[1:]]
    for turn in range(3):
        states = runner.step(states, [actions[1][turn + 1], actions[2][turn], actions[3][turn]])
    states[1:] = runner.step(states[1:], [actions[2][3], actions[3][3]])
    for state, single in zip(states, alone.values(), strict=True):
        np.testing.assert_array_equal(state.frames, single.frames)
        np.testing.assert_equal(runner.info(state), runner.info(single))
        assert runner.reward(state) == runner.reward(single)


def test_nothing_is_made_if_one_action_is_wrong():
    runner = episodes()
    states = runner.start(generators(1, 2), [{}, {}])
    with pytest.raises(ValueError, match="action=99"):
        runner.step(states, [0, 99])
    assert [state.episode.chunk for state in states] == [0, 0]


def test_a_degenerated_episode_cannot_go_on():
    class Broken(AnalyticWorld):
        def generate(self, requests):
            return [chunk * float("nan") for chunk in super().generate(requests)]

    runner = episodes(Broken())
    (state,) = runner.step(runner.start(generators(0), [{}]), [0])
    with pytest.raises(ResetNeeded, match="degenerated"):
        runner.step([state], [0])


def test_a_world_without_start_frames_needs_an_image():
    world = AnalyticWorld()
    world.start_views = StartViews()
    runner = episodes(world)
    with pytest.raises(ValueError, match="has no start frames: reset"):
        runner.start(generators(0), [{}])
    (state,) = runner.start(generators(0), [{"image": np.zeros((9, 9, 3), np.uint8)}])
    assert state.start_index == -1
