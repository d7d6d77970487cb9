"""Many distances at once are those of the episodes one by one, bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.runtime.chunk import PlannedChunk
from li_env.doom.known_maps import known_map
from li_env.tasks import EpisodeDataset, PointGoal
from li_env.tasks.dataset import EpisodeRecord
from li_env.tasks.distances import Distance, PathLength, StraightLine, distances
from li_env.tasks.navigation import NavigationState
from li_env.tasks.scan_paths import ScanPaths
from li_env.worlds.freedoom.ground_truth import EPISODES_FILE, FreedoomTruth
from li_env.worlds.freedoom.start_frames import StartFrames
from li_env.worlds.freedoom.weights import packaged_folder
from tests.accel.level import level
from tests.analytic_world import SPEC

PLAN = ChunkPlan(0, "warmup", 0.0, (), (), (1.0, 0.0), AttentionPlan(), "")


@pytest.fixture(scope="module")
def truth() -> FreedoomTruth:
    return FreedoomTruth(StartFrames.load(packaged_folder()))


@pytest.fixture(scope="module")
def records() -> tuple[EpisodeRecord, ...]:
    return EpisodeDataset.read(EPISODES_FILE).episodes[:6]


def one_by_one(measures: list[Distance], places: np.ndarray) -> list[float]:
    return [measure(*place) for measure, place in zip(measures, places.tolist(), strict=True)]


def test_paths_around_the_corners_of_several_maps(truth: FreedoomTruth, records: tuple[EpisodeRecord, ...]) -> None:
    """Measure from free places near and far, from inside walls and from outside of the map."""
    rng = np.random.default_rng(0)
    measures, places = [], []
    for record in [*records, *records]:
        assert record.map_seed is not None
        goal = record.goal[:2]
        field = truth.distance(record.map_seed, (goal[0], goal[1]))
        space = known_map(record.map_seed).space
        free = [(-y / 32, x / 32) for x, y in (space.sample(rng) for _ in range(4))]
        anywhere = np.array(goal) + rng.uniform(-20, 20, (3, 2))
        measures += [PathLength(field)] * 8
        places += [*free, *anywhere.tolist(), goal]
    found = distances(measures, np.array(places))
    np.testing.assert_array_equal(found, one_by_one(measures, np.array(places)))
    straight = [StraightLine(*record.goal[:2]) for record in [*records, *records] for _ in range(8)]
    longer = found - distances(straight, np.array(places))
    assert (np.abs(longer) < 1e-9).any() and (longer > 1.0).any(), "some paths are straight, others are not"


def test_measures_of_all_kinds_in_any_order(truth: FreedoomTruth, records: tuple[EpisodeRecord, ...]) -> None:
    graphs = [ScanPaths(level(np.arange(6.0), np.zeros(6), np.zeros(6))) for _ in range(2)]
    measures: list[Distance] = [
        *(PathLength(graph.to((end, 0.0))) for graph in graphs for end in (5.0, 4.0, 0.3)),
        *(StraightLine(1.0, float(end)) for end in range(3)),
        *(lambda x, z, end=end: x + 2 * z + end for end in range(2)),  # a measure of somebody else
        *(PathLength(truth.distance(each.map_seed or 0, each.goal[:2])) for each in records),
    ]
    rng = np.random.default_rng(1)
    order = rng.permutation(len(measures))
    mixed, places = [measures[row] for row in order], rng.uniform(-3, 6, (len(measures), 2))
    np.testing.assert_array_equal(distances(mixed, places), one_by_one(mixed, places))


class OwnGoal(PointGoal):
    """Task of somebody who counts otherwise."""

    def advance(self, state: NavigationState, result: PlannedChunk | None) -> NavigationState:
        return replace(super().advance(state, result), collisions=7)

    def metrics(self, state: NavigationState) -> dict[str, object]:
        return {"mine": state.collisions}

    def sensors(self, state: NavigationState) -> dict[str, np.ndarray]:
        return {"pointgoal": np.full(2, 3, np.float32)}


@pytest.mark.parametrize("kind", [PointGoal, OwnGoal])
def test_a_task_advances_and_measures_many_episodes_as_it_does_one(
    kind: type[PointGoal], truth: FreedoomTruth, records: tuple[EpisodeRecord, ...]
) -> None:
    task = kind(SPEC, EpisodeDataset(records, {}), truth=truth)
    rng = np.random.default_rng(2)
    states, chunks = [], []
    for index in range(len(records)):
        opening = task.open({"episode": index}, rng)
        states.append(task.begin(opening, np.asarray(opening.start["pose"]), rng))
        asked = tuple(CameraMotion(yaw=float(rng.uniform(-90, 90)), forward=0.7) for _ in range(3 + index % 2))
        real = asked if index % 3 else tuple(replace(each, forward=each.forward / 2) for each in asked)
        chunks.append(PlannedChunk(PLAN, follow(states[-1].pose, real), real, asked))
    for _ in range(2):
        alone = [task.advance(state, chunk) for state, chunk in zip(states, chunks, strict=True)]
        states = task.advance_all(states, chunks)
        for one, two in zip(alone, states, strict=True):
            np.testing.assert_array_equal(one.pose, two.pose)
            assert {**vars(one), "pose": None} == {**vars(two), "pose": None}
    assert {state.collisions for state in states} == ({0, 2} if kind is PointGoal else {7})
    metrics, sensors = task.metrics_all(states), task.sensors_all(states)
    for row, state in enumerate(states):
        own = task.metrics(state)
        assert {key: type(value) for key, value in own.items()} == {
            key: type(each[row]) for key, each in metrics.items()
        }
        np.testing.assert_equal({key: each[row] for key, each in metrics.items()}, own)
        np.testing.assert_equal({key: np.asarray(each[row]) for key, each in sensors.items()}, task.sensors(state))
