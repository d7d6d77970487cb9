"""The shortest-path follower; nobody reaches the goal sooner than the shortest path allows.

``LI_ENV_EXPERT_MAPS=150`` plays on as many maps as you like (12 episodes each).
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from li_env.agents.evaluate import evaluate, summarise
from li_env.agents.macro_actions import MACRO_ACTIONS, MacroActions
from li_env.agents.scripted.heuristics import GoalFollower
from li_env.agents.scripted.shortest_path import ShortestPathFollower
from li_env.doom.geodesic import map_distance, metres_to_goal
from li_env.doom.known_maps import known_map, known_walls
from li_env.doom.splits import TEST
from li_env.episodes import open_episodes
from li_env.rollouts import View
from li_env.tasks import EpisodeDataset, EpisodeRecord, NavigationRules
from li_env.tasks.navigation import pose_at
from li_env.worlds.freedoom.ground_truth import FreedoomTruth
from li_env.worlds.freedoom.start_frames import StartFrames
from li_env.worlds.freedoom.weights import packaged_folder


def test_it_goes_around_what_a_straight_line_runs_into():
    pytest.importorskip("vizdoom")
    from li_env.worlds.freedoom.build_episodes import build_episodes

    rules = NavigationRules(1.5, 2.5, -0.01, (8.0, 20.0))
    data = build_episodes(range(20_100_000, 20_100_008), 2, 2, rules=rules, detour=1.4)
    game = open_episodes("freedoom_game", "off", "continuous", "frame", task="pointgoal", dataset=data)
    options = [{"episode": index} for index in range(len(data.episodes))]
    expert = summarise(
        evaluate(
            game,
            ShortestPathFollower(MacroActions(game.actions.space, True), data, game.world.ground_truth, 1.2),
            options,
            32,
        )
    )
    straight = summarise(evaluate(game, GoalFollower(game.spec, 4, 1.2), options, 32))
    assert expert["success"]["mean"] > 0.85
    assert expert["spl"]["mean"] > straight["spl"]["mean"] + 0.2


@pytest.mark.parametrize(("nearest", "farthest", "detour"), [(8.0, 20.0, 1.3), (4.0, 12.0, 1.0)])
def test_nobody_walks_less_than_the_shortest_path(nearest, farthest, detour):
    """Walked and remaining distance add up to the distance at the start, or that distance was no shortest path."""
    pytest.importorskip("vizdoom")
    from li_env.worlds.freedoom.build_episodes import build_episodes

    rules = NavigationRules(1.5, 2.5, -0.01, (nearest, farthest))
    maps = TEST[1000 : 1000 + int(os.environ.get("LI_ENV_EXPERT_MAPS", "3"))]
    data = build_episodes(maps, 3, 4, 0, rules, detour)
    game = open_episodes("freedoom_game", "off", "continuous", "frame", task="pointgoal", dataset=data)
    expert = ShortestPathFollower(MacroActions(game.actions.space, True), data, game.world.ground_truth, 1.2)
    rows = evaluate(game, expert, [{"episode": index} for index in range(len(data.episodes))], 32)
    ratios = []
    for record, row in zip(data.episodes, rows, strict=True):
        start = metres_to_goal(map_distance(record.map_seed, *record.goal[:2]), *record.pose[:2])
        ratios.append((row["path_length"] + row["distance_to_goal"]) / start)
    print(f"{len(ratios)} episodes: least {min(ratios):.4f}, median {np.median(ratios):.4f}")
    assert min(ratios) >= 0.99


@pytest.fixture(scope="module")
def truth():
    return FreedoomTruth(StartFrames.load(packaged_folder()))


def test_an_episode_without_a_map_is_refused(room, macro_actions, truth):
    (state,) = room.start([np.random.default_rng(0)], [{"episode": 1}])
    expert = ShortestPathFollower(macro_actions, room.task.dataset, truth, 0.5)
    with pytest.raises(ValueError, match="episode 1 names no map; allowed: episodes with a map_seed"):
        expert.choose(View(room.observation(state), room.info(state), state))


def test_labels_hold_the_clearances_from_left_to_right(room, macro_actions, truth):

    space = known_map(3).space
    x, y = space.sample(np.random.default_rng(1))
    here = (-y / 32, x / 32, 20.0)  # yaw 20 degrees is Doom's angle -20
    data = EpisodeDataset((EpisodeRecord(0, here, (here[0], here[1], 0.0), map_seed=3),), {})
    view = View({}, {"episode_index": 0, "pose": pose_at(here), "distance_to_goal": 0.0}, None)
    rays = ShortestPathFollower(macro_actions, data, truth, 0.5).label(view).clearances
    assert rays.shape == (9,)
    for ray, turn in zip(rays, range(-40, 41, 10), strict=True):
        expected = space.clear_lengths((x, y), np.radians([-20.0 - turn]), 192.0)[0] / 192
        assert ray == pytest.approx(expected, abs=0.05)
    assert rays.min() < rays.max()


def test_against_a_wall_it_does_not_lean_on_it(macro_actions, truth):
    rng, walls, space = np.random.default_rng(0), known_walls(3), known_map(3).space
    which = np.zeros(1, dtype=int)
    for _ in range(20):
        place = np.array([space.sample(rng)], dtype=float)
        goal = space.sample(rng)
        angle = rng.uniform(0, 360)
        ahead = 24 * np.array([[np.cos(np.radians(angle)), np.sin(np.radians(angle))]])
        for _ in range(100):
            place = walls.slide(which, place, ahead)  # into the corner where sliding ends
        here = (-place[0, 1] / 32, place[0, 0] / 32, -angle)
        data = EpisodeDataset((EpisodeRecord(0, here, (-goal[1] / 32, goal[0] / 32, 0.0), map_seed=3),), {})
        view = View({}, {"episode_index": 0, "pose": pose_at(here), "distance_to_goal": 9.0}, None)
        assert list(MACRO_ACTIONS)[ShortestPathFollower(macro_actions, data, truth, 0.5).choose(view)].startswith(
            ("turn", "half_turn")
        )
