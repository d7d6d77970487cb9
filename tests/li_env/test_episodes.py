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
    rules = episodes()
    actions = {1: [1, 1, 6, 1], 2: [6, 5, 1, 2], 3: [3, 1, 1, 1]}
    alone = {}
    for seed, path in actions.items():
        (now,) = rules.start(generators(seed), [{}])
        for action in path:
            (now,) = rules.step([now], [action])
        alone[seed] = now
    moments = rules.start(generators(1, 2, 3), [{}, {}, {}])
    (ahead,) = rules.step(moments[:1], [1])  # the first one runs ahead of the others
    moments = [ahead, *moments[1:]]
    for turn in range(3):
        moments = rules.step(moments, [actions[1][turn + 1], actions[2][turn], actions[3][turn]])
    moments[1:] = rules.step(moments[1:], [actions[2][3], actions[3][3]])
    for now, single in zip(moments, alone.values(), strict=True):
        np.testing.assert_array_equal(now.frames, single.frames)
        np.testing.assert_equal(rules.info(now), rules.info(single))
        assert rules.reward(now) == rules.reward(single)


def test_nothing_is_made_if_one_action_is_wrong():
    rules = episodes()
    moments = rules.start(generators(1, 2), [{}, {}])
    with pytest.raises(ValueError, match="action=99"):
        rules.step(moments, [0, 99])
    assert [now.episode.chunk for now in moments] == [0, 0]


def test_a_degenerated_episode_cannot_go_on():
    class Broken(AnalyticWorld):
        def generate(self, requests):
            return [chunk * float("nan") for chunk in super().generate(requests)]

    rules = episodes(Broken())
    (now,) = rules.step(rules.start(generators(0), [{}]), [0])
    with pytest.raises(ResetNeeded, match="degenerated"):
        rules.step([now], [0])


def test_a_world_without_start_frames_needs_an_image():
    world = AnalyticWorld()
    world.start_views = StartViews()
    rules = episodes(world)
    with pytest.raises(ValueError, match="has no start frames: reset"):
        rules.start(generators(0), [{}])
    (now,) = rules.start(generators(0), [{"image": np.zeros((9, 9, 3), np.uint8)}])
    assert now.start_index == -1
