"""Geodesic distances against plans whose answer is known and against fast marching on a fine grid.

``LI_ENV_REFERENCE_MAPS=60`` compares with fast marching on as many maps as you like.
"""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest

from li_env.doom.collision import RADIUS, Walls, segment_distances
from li_env.doom.geodesic import MapDistance, map_distance, metres_to_goal
from li_env.doom.known_maps import known_map, known_tangents, known_walls
from li_env.doom.splits import TEST
from li_env.doom.tangents import SLACK, Tangents
from li_env.tasks import EpisodeDataset, NavigationRules
from li_env.worlds.freedoom.ground_truth import EPISODES_FILE

OUTER = [(0, 0, 1024, 0), (1024, 0, 1024, 1024), (1024, 1024, 0, 1024), (0, 1024, 0, 0)]


def room(*inner: tuple[float, float, float, float]) -> Tangents:
    """Make a square room of 1,024 units with inner walls."""
    return Tangents(np.array([*OUTER, *inner], dtype=float), (100.0, 100.0))


def around(here: np.ndarray, corner: np.ndarray, goal: np.ndarray, radius: float = RADIUS) -> float:
    """Return the length of the shortest path around the end of a wall."""
    one, two = (np.hypot(*(point - corner)) for point in (here, goal))
    cosine = (here - corner) @ (goal - corner) / (one * two)
    angles = np.arccos(np.clip(cosine, -1, 1)), np.arccos(radius / one), np.arccos(radius / two)
    return (
        np.sqrt(one**2 - radius**2)
        + np.sqrt(two**2 - radius**2)
        + radius * (2 * np.pi - angles[0] - angles[1] - angles[2] if cosine > 0 else angles[0] - angles[1] - angles[2])
    )


def test_on_open_ground_it_is_the_straight_line():
    rng = np.random.default_rng(0)
    for _ in range(20):
        goal, here = rng.uniform(RADIUS, 1024 - RADIUS, (2, 2))
        assert MapDistance(room(), tuple(goal))(tuple(here)) == pytest.approx(np.hypot(*(goal - here)), rel=1e-12)
        assert MapDistance(room(), tuple(goal))(tuple(goal)) == 0.0


def test_the_path_leads_around_a_wall_as_closely_as_the_player_can():
    distance = MapDistance(room((512, 0, 512, 800)), (612.0, 200.0))
    for here in ((412.0, 200.0), (20.0, 20.0), (490.0, 760.0), (512.0 - RADIUS, 400.0)):
        expected = around(np.array(here), np.array([512.0, 800.0]), np.array([612.0, 200.0]))
        assert distance(here) == pytest.approx(expected, rel=1e-3, abs=2 * SLACK)
    assert distance((700.0, 900.0)) == pytest.approx(np.hypot(88, 700))


def test_the_shorter_of_two_paths_and_bends_to_both_sides():
    """Two walls that leave gaps at the bottom and at the top: an S, round the first anticlockwise."""
    net = room((400, 100, 400, 1024), (600, 0, 600, 900))
    goal, here = np.array([900.0, 500.0]), np.array([100.0, 500.0])
    found = MapDistance(net, tuple(goal))(tuple(here))
    apart = np.hypot(200, 800)
    turn = np.arctan2(800, 200) + np.arcsin(2 * RADIUS / apart)  # heading of the line between the corners
    first = np.array([400.0, 100.0]) + RADIUS * np.array([np.sin(turn), -np.cos(turn)])
    last = np.array([600.0, 900.0]) - RADIUS * np.array([np.sin(turn), -np.cos(turn)])
    expected = np.hypot(*(last - first))
    for point, corner, touched in ((here, (400.0, 100.0), first), (goal, (600.0, 900.0), last)):
        away = np.hypot(*(point - corner))
        opened = 2 * np.pi - np.arccos((touched - corner) @ (point - corner) / (RADIUS * away))
        expected += np.sqrt(away**2 - RADIUS**2) + RADIUS * (opened - np.arccos(RADIUS / away))
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("width", "passes"), [(2 * RADIUS, True), (2 * RADIUS + 1, True), (2 * RADIUS - 1, False)])
def test_a_gap_is_open_if_the_player_fits_through(width, passes):
    half = width / 2
    net = room((512, 0, 512, 500 - half), (512, 500 + half, 512, 1024))
    found = MapDistance(net, (812.0, 500.0))((212.0, 500.0))
    assert found == (pytest.approx(600.0) if passes else np.inf)


def test_a_wall_in_many_slightly_bent_pieces_does_not_hold_the_way_up():
    """Bends of a third of a degree: each must count, or nothing leads along the wall."""
    angles = np.radians(np.linspace(0, 60, 181))
    arch = np.array([512.0, -700.0]) + 1200 * np.stack([np.sin(angles - angles[90]), np.cos(angles - angles[90])], -1)
    pieces = [(*a, *b) for a, b in itertools.pairwise(arch)]
    ends = [(arch[0, 0], arch[0, 1], arch[0, 0], 0.0), (arch[-1, 0], arch[-1, 1], arch[-1, 0], 0.0)]
    net = Tangents(np.array([(-400, 0, 1400, 0), (1400, 0, 1400, 1024), (1400, 1024, -400, 1024),
                             (-400, 1024, -400, 0), *pieces, *ends], dtype=float), (512.0, 800.0))  # fmt: skip
    left, right = (arch[[2, -3]] - (512.0, -700.0)) * (1200 + RADIUS + 1) / 1200 + (512.0, -700.0)
    assert MapDistance(net, tuple(left))(tuple(right)) == pytest.approx(
        (1200 + RADIUS) * (angles[-3] - angles[2]), rel=2e-3
    )


def test_distance_changes_by_at_most_the_way_walked_also_along_walls():
    rng = np.random.default_rng(1)
    for seed in (2, 5, int(TEST[1003]), int(TEST[1016])):
        known, walls, net = known_map(seed), known_walls(seed), known_tangents(seed)
        distance = MapDistance(net, known.space.sample(rng))
        here = np.array([known.space.sample(rng) for _ in range(40)], dtype=float)
        headings, before, touched = rng.uniform(0, 2 * np.pi, 40), distance.of(here), 0
        for _ in range(40):
            headings += rng.normal(0, 0.3, 40)
            step = rng.uniform(0, 8, (40, 1)) * np.stack([np.cos(headings), np.sin(headings)], 1)
            there = walls.slide(np.zeros(40, int), here, step)
            touched += int((there != here + step).any(1).sum())
            after = distance.of(there)
            assert np.isfinite(after).all()
            length = np.hypot(*(there - here).T)
            # The chord of a short arc around a corner, and what slack lets pass.
            assert (np.abs(after - before) <= 1.02 * length + 4 * SLACK).all()
            here, before = there, after
        assert touched > 100


def test_many_positions_at_once_are_as_each_alone():
    rng = np.random.default_rng(2)
    known = known_map(7)
    distance = MapDistance(known_tangents(7), known.start)
    positions = np.array([known.space.sample(rng) for _ in range(50)], dtype=float)
    np.testing.assert_array_equal(distance.of(positions), [distance(tuple(point)) for point in positions])


def test_the_first_part_of_the_way_is_free_and_shortens_it_by_its_length():
    rng = np.random.default_rng(3)
    known = known_map(int(TEST[1005]))
    distance = MapDistance(known_tangents(int(TEST[1005])), known.space.sample(rng))
    positions = np.array([known.space.sample(rng) for _ in range(50)], dtype=float)
    lengths, ends = distance.ahead(positions)
    parts = np.hypot(*(ends - positions).T)
    np.testing.assert_allclose(distance.of(ends), lengths - parts, atol=4 * SLACK)
    assert (distance.of((positions + ends) / 2) <= lengths - parts / 2 + 1e-6).all()
    assert (lengths > parts + 1).sum() > 10


def test_a_place_where_nobody_can_stand_is_as_far_as_the_nearest_and_the_way_to_it():
    net = room((512, 0, 512, 800))
    distance = MapDistance(net, (612.0, 200.0))
    beside = distance((512.0 + RADIUS, 300.0))
    assert distance((512.0 + 5.0, 300.0)) == pytest.approx(beside + RADIUS - 5, abs=0.1)
    assert 5000 < distance((-5000.0, 200.0)) < 7000
    assert np.isfinite(distance((512.0, 200.0)))


@pytest.mark.parametrize("goal", [(512.0, 200.0), (-50.0, 200.0), (2000.0, 200.0), (1e9, -1e9), (512.0 + 16.0, 200.0)])
def test_a_goal_in_a_wall_or_outside_is_refused(goal):
    with pytest.raises(ValueError, match="inside a wall or outside of the rooms"):
        MapDistance(room((512, 0, 512, 800)), goal)


def test_a_goal_may_be_wherever_a_player_gets_to():
    walls, here = Walls([np.array(OUTER, dtype=float)]), np.array([[500.0, 900.0]])
    for _ in range(30):
        here = walls.slide(np.zeros(1, int), here, np.array([[20.0, 20.0]]))
    assert MapDistance(room(), tuple(here[0]))((500.0, 900.0)) > 400


def test_metres_are_in_the_axes_of_the_world():
    goal = known_map(2).start
    distance = map_distance(2, -goal[1] / 32, goal[0] / 32)
    assert metres_to_goal(distance, -goal[1] / 32, goal[0] / 32) == 0.0
    assert metres_to_goal(distance, -goal[1] / 32 + 1, goal[0] / 32) == pytest.approx(1.0)


def test_the_shipped_goals_are_as_far_away_as_the_rules_say():
    low, high = NavigationRules.default().goal_distance
    records = EpisodeDataset.read(EPISODES_FILE).episodes
    assert len(records) == 72
    for record in records:
        assert record.map_seed is not None
        distance = map_distance(record.map_seed, *record.goal[:2])
        assert low <= metres_to_goal(distance, *record.pose[:2]) <= high
        assert metres_to_goal(distance, *record.goal[:2]) == 0.0


def fast_marching(seed: int, cell: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a goal [2] and 40 free positions [40, 2]; return them with distances on a grid of ``cell`` units."""
    skfmm = pytest.importorskip("skfmm")
    segments = known_map(seed).segments
    low, high = segments.reshape(-1, 2).min(0), segments.reshape(-1, 2).max(0)
    axes = [np.arange(a, b + cell, cell) for a, b in zip(low, high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    clearance = np.full(points.shape[:2], np.inf)
    for wall in segments:
        ends = np.sort(wall.reshape(2, 2), axis=0) + np.array([[-2 * RADIUS], [2 * RADIUS]]) - low
        near = tuple(slice(max(0, int(a // cell)), int(b // cell) + 2) for a, b in ends.T)
        clearance[near] = np.minimum(clearance[near], segment_distances(points[near], wall)[1])
    free = clearance >= RADIUS
    # Rooms are where the map's start is, which walls enclose: everything it can reach.
    start = np.argmin(np.where(free, np.hypot(*np.moveaxis(points - known_map(seed).start, -1, 0)), np.inf))

    def march(point: np.ndarray) -> np.ndarray:
        away = np.hypot(*np.moveaxis(points - point, -1, 0)) - 2.5 * cell
        return np.ma.filled(skfmm.distance(np.ma.MaskedArray(away, ~free), dx=cell) + 2.5 * cell, np.inf)

    reached = points[np.isfinite(march(points.reshape(-1, 2)[start])) & free]
    goal = reached[rng.integers(len(reached))]
    field = march(goal)
    positions = reached[rng.integers(len(reached), size=40)]
    rows = np.rint((positions - low) / cell).astype(int)
    return goal, positions, field[rows[:, 0], rows[:, 1]]


def test_it_agrees_with_fast_marching_on_a_fine_grid():
    """Fast marching knows neither corners nor lines. Its own error is up to 1 % on 2 units."""
    rng, errors = np.random.default_rng(4), []
    for seed in TEST[1000 : 1000 + int(os.environ.get("LI_ENV_REFERENCE_MAPS", "3"))]:
        goal, positions, expected = fast_marching(seed, 2.0, rng)
        found = MapDistance(known_tangents(seed), tuple(goal)).of(positions)
        far = expected > 32
        errors += (np.abs(found - expected)[far] / expected[far]).tolist()
        np.testing.assert_allclose(found[~far], expected[~far], atol=2)
    print(f"{len(errors)} pairs: p50 {np.median(errors):.4f} p99 {np.quantile(errors, 0.99):.4f} max {max(errors):.4f}")
    assert np.quantile(errors, 0.99) <= 0.015
    assert max(errors) <= 0.03
