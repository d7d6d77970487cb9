"""Built episodes: reproducible, reachable, and with the pictures of their starts and goals."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import li_env  # noqa: F401  (registers the ids)
from li_env.doom.geodesic import map_distance, metres_to_goal
from li_env.tasks import EpisodeDataset, NavigationRules
from li_env.worlds.freedoom.build_episodes import build_episodes

pytest.importorskip("vizdoom")

SEEDS = (10, 11, 12)


@pytest.fixture(scope="module")
def built() -> EpisodeDataset:
    return build_episodes(SEEDS, goals_per_map=2, starts_per_goal=2)


def test_goals_are_as_far_away_as_asked_for(built):
    assert 6 <= len(built.episodes) <= 12
    assert {episode.map_seed for episode in built.episodes} == set(SEEDS)
    for episode in built.episodes:
        x, z, _ = episode.pose
        distance = metres_to_goal(map_distance(episode.map_seed, *episode.goal[:2]), x, z)
        assert 4 <= distance <= 12


def test_an_episode_depends_on_its_map_and_the_seed_alone(built):
    alone = build_episodes(SEEDS[1:2], goals_per_map=2, starts_per_goal=2)
    same = [episode for episode in built.episodes if episode.map_seed == SEEDS[1]]
    assert [(e.pose, e.goal) for e in alone.episodes] == [(e.pose, e.goal) for e in same]
    other = build_episodes(SEEDS[1:2], goals_per_map=2, starts_per_goal=2, seed=1)
    assert [(e.pose, e.goal) for e in alone.episodes] != [(e.pose, e.goal) for e in other.episodes]


def test_pictures_show_the_start_and_the_goal(built, tmp_path):
    built.write(tmp_path / "built.json")
    env = gymnasium.make("LightInteraction/ImageGoal-v0", world="freedoom_game", dataset=tmp_path / "built.json")
    for index in (0, len(built.episodes) - 1):
        episode = built.episodes[index]
        start, _ = env.reset(seed=0, options={"episode": index})
        np.testing.assert_array_equal(env.step(0)[0]["rgb"][-1], start["rgb"][-1])
        pose = env.unwrapped.save_state().task.goal
        assert pose.position == episode.goal[:2]
        there = EpisodeDataset(
            (type(episode)(episode.start, episode.goal, episode.pose, 0, episode.map_seed),), built.frames
        )
        at_goal = gymnasium.make("LightInteraction/ImageGoal-v0", world="freedoom_game", dataset=there)
        at_goal.reset(seed=0)
        np.testing.assert_array_equal(at_goal.step(0)[0]["rgb"][-1], start["imagegoal"])


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ValueError, match="goals_per_map=0 is not allowed"):
        build_episodes(SEEDS, goals_per_map=0)
    far = NavigationRules(1.5, 2.5, -0.01, (900.0, 901.0))
    with pytest.raises(ValueError, match=r"no episode with a goal \(900.0, 901.0\) away fits into 1 maps"):
        build_episodes(SEEDS[:1], rules=far)
