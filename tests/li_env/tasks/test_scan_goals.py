"""PointGoal and ImageGoal in a scanned place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from li_env.env import LightInteractionEnv
from li_env.scans.scan import Scan
from li_env.tasks import EpisodeDataset, EpisodeRecord, NavigationRules, PointGoal
from li_env.vector_env import LightInteractionVectorEnv
from tests.analytic_world import AnalyticWorld
from tests.room_scan import room_scan

STOP = 9


@pytest.fixture(scope="module")
def scan() -> Scan:
    return room_scan()


class Straight:
    """Lengths of straight lines, three times as long."""

    def __init__(self, goal: tuple[float, float]) -> None:
        self.goal = goal

    def at(self, points: np.ndarray) -> np.ndarray:
        return 3 * np.hypot(*(points - self.goal).T)

    near = at


class Truth:
    """Knows map 7 alone, and nothing beyond two metres."""

    def distance(self, map_id: int, goal: tuple[float, float]) -> Straight:
        if map_id != 7 or max(map(abs, goal)) > 2.5:
            raise ValueError("in a wall")
        return Straight(goal)


class KnownWorld(AnalyticWorld):
    ground_truth = Truth()  # type: ignore[assignment]


@pytest.mark.parametrize("task", ["pointgoal", "imagegoal"])
def test_a_goal_is_a_view_drawn_by_the_seed(scan: Scan, task: str) -> None:
    env = LightInteractionEnv(AnalyticWorld(), task=task, scan=scan)
    goals = set()
    for seed in range(8):
        observation, info = env.reset(seed=seed)
        again, _ = env.reset(seed=seed)
        for key in observation:
            np.testing.assert_array_equal(observation[key], again[key])
        goals.add(tuple(info["goal"]))
        low, high = NavigationRules.default().goal_distance
        assert low <= info["start_distance"] <= high or info["start_distance"] > 1.9
        fitting = np.flatnonzero((scan.poses[:, [0, 2], 3] == info["goal"]).all(1))
        assert len(fitting) == 8
        if task == "imagegoal":
            assert any(np.array_equal(observation["imagegoal"], scan.images[view]) for view in fitting)
    assert len(goals) > 2


def test_the_goal_may_be_a_view_or_a_place(scan: Scan) -> None:
    env = LightInteractionEnv(AnalyticWorld(), task="imagegoal")
    observation, info = env.reset(options={"scan": scan, "view": 0, "goal_view": 71})
    np.testing.assert_array_equal(observation["imagegoal"], scan.images[71])
    np.testing.assert_array_equal(info["goal"], [2.0, 2.0])
    # From corner to corner over the places: the direct diagonal steps are longer than 1.4 usual ones and allowed.
    assert info["start_distance"] == pytest.approx(np.hypot(4, 4))
    env = LightInteractionEnv(AnalyticWorld(), task="pointgoal", scan=scan)
    _, info = env.reset(options={"view": 0, "goal": (1.0, -2.0)})
    assert info["start_distance"] == pytest.approx(3.0)
    info = env.step(env.stop_action)[4]
    assert info["success"] == 0


def test_the_map_gives_the_lengths_where_it_is_known(scan: Scan) -> None:
    known = replace(scan, map_seed=7)
    env = LightInteractionEnv(KnownWorld(), task="pointgoal", scan=known)
    _, info = env.reset(options={"view": 0, "goal": (1.0, -2.0)})
    assert info["start_distance"] == pytest.approx(9.0)
    _, info = env.reset(seed=0)
    place = info["pose"][[0, 2], 3]
    assert info["start_distance"] == pytest.approx(3 * np.hypot(*(info["goal"] - place)))
    with pytest.raises(ValueError, match=r"goal=\[3.0, 3.0\] is outside map 7 of the scan: in a wall"):
        env.reset(options={"view": 0, "goal": (3.0, 3.0)})
    elsewhere = LightInteractionEnv(AnalyticWorld(), task="pointgoal", scan=known)
    _, info = elsewhere.reset(options={"view": 0, "goal": (1.0, -2.0)})
    assert info["start_distance"] == pytest.approx(3.0), "a world that knows no maps follows the views"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"goal_view": 72}, r"goal_view=72 is not allowed; use a whole number from 0 to 71"),
        ({"goal_view": 1, "goal": (0.0, 0.0)}, r"'goal_view' excludes 'goal'"),
        ({"goal": (30.0, 0.0)}, r"goal=\[30.0, 0.0\] is 28 from the nearest view of the scan; allowed: at most 8"),
        ({"goal": "there"}, r"goal='there' is not usable"),
        ({"episode": 0}, r"'episode' needs a dataset"),
    ],
)
def test_bad_goals_get_one_line(scan: Scan, options: dict[str, Any], message: str) -> None:
    env = LightInteractionEnv(AnalyticWorld(), task="pointgoal", scan=scan)
    with pytest.raises(ValueError, match=message) as caught:
        env.reset(options=options)
    assert "\n" not in str(caught.value)


def test_a_view_as_goal_needs_a_scan() -> None:
    env = LightInteractionEnv(AnalyticWorld(), task="pointgoal")
    with pytest.raises(ValueError, match="'goal_view' needs a scan"):
        env.reset(options={"goal_view": 1})
    with pytest.raises(ValueError, match="unknown"):
        LightInteractionEnv(AnalyticWorld()).reset(options={"goal_view": 1})


def test_episodes_of_a_file_take_place_in_the_scan_when_they_are_named(scan: Scan) -> None:
    world = KnownWorld()
    records = (EpisodeRecord(0, (0.0, 0.0, 0.0), (1.0, 1.0, 0.0), map_seed=7, seed=3),) * 2
    task = PointGoal(
        world.spec, EpisodeDataset((*records, replace(records[0], map_seed=8)), {}), truth=world.ground_truth
    )
    env = LightInteractionEnv(world, task=task, scan=replace(scan, map_seed=7))
    _, info = env.reset(seed=0, options={"episode": 1})
    assert info["episode_index"] == 1 and info["start_index"] == 0
    assert env.step(1)[4]["scan_views"] == 8
    _, info = env.reset(seed=0, options={"view": 3})
    assert info["episode_index"] == -1, "the options describe another start"
    with pytest.raises(ValueError, match=r"episode=2 is on map 8; allowed: one on map 7 of the scan"):
        env.reset(options={"episode": 2})


class TwoMaps(Truth):
    def distance(self, map_id: int, goal: tuple[float, float]) -> Straight:
        return super().distance(7, goal)


def test_episodes_take_place_in_the_scans_of_their_maps(scan: Scan, tmp_path: Path) -> None:
    """Maps 7 and 8 are scanned, 9 is not: its episodes are not drawn."""
    world = KnownWorld()
    places = [(seed, (float(seed) - 8, 1.0, 0.0)) for seed in (9, 7, 8, 7)]
    records = [EpisodeRecord(0, (0.0, 0.0, 0.0), goal, map_seed=seed, seed=3) for seed, goal in places]
    for seed, shift in ((7, 0.0), (8, 0.5)):
        poses = scan.poses.copy()
        poses[:, 0, 3] += shift
        replace(scan, poses=poses, map_seed=seed).save(tmp_path / f"map_{seed}.npz")

    def task() -> PointGoal:
        return PointGoal(world.spec, EpisodeDataset(tuple(records), {}), truth=TwoMaps())

    env = LightInteractionEnv(world, task=task(), scans=tmp_path, plan_info=True)
    seen = set()
    for seed in range(12):
        _, info = env.reset(seed=seed)
        seen.add(info["episode_index"])
        own = env.runner.scans.by_map[records[info["episode_index"]].map_seed].bank
        assert env.save_state().episode.bank is own
    assert seen == {1, 2, 3}
    assert env.reset(options={"episode": 2})[1]["episode_index"] == 2
    assert env.save_state().episode.bank is env.runner.scans.by_map[8].bank
    many = LightInteractionVectorEnv(6, world=world, task=task(), scans=tmp_path)
    _, infos = many.reset(seed=0)
    assert list(infos["episode_index"]) == [env.reset(seed=seed)[1]["episode_index"] for seed in range(6)]


def test_a_folder_without_scans_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"scans='.*' is no folder with scans; allowed: a list of scans"):
        LightInteractionEnv(AnalyticWorld(), scans=tmp_path)


def test_goals_of_many_environments(scan: Scan) -> None:
    many = LightInteractionVectorEnv(4, world=AnalyticWorld(), task="imagegoal", scan=scan)
    observations, infos = many.reset(seed=3)
    for index in range(4):
        env = LightInteractionEnv(AnalyticWorld(), task="imagegoal", scan=scan)
        observation, info = env.reset(seed=3 + index)
        np.testing.assert_array_equal(observation["imagegoal"], observations["imagegoal"][index])
        np.testing.assert_array_equal(info["goal"], infos["goal"][index])
