"""Geodesic distances against straight lines and against simple plans whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from li_env.worlds.freedoom.doom.geodesic import MapDistance, _Floor, known_map, map_distance, metres_to_goal
from li_env.worlds.freedoom.doom.space import FreeSpace


def room(*inner: tuple[float, float, float, float]) -> _Floor:
    """A square room of 1,024 units with inner walls."""
    outer = [(0, 0, 1024, 0), (1024, 0, 1024, 1024), (1024, 1024, 0, 1024), (0, 1024, 0, 0)]
    return _Floor(FreeSpace(np.array([*outer, *inner], dtype=float), (100.0, 100.0)))


def test_open_ground_is_at_most_three_percent_off_the_straight_line():
    rng = np.random.default_rng(0)
    floor = room()
    for _ in range(20):
        goal, here = rng.uniform(64, 960, (2, 2))
        straight = float(np.hypot(*(goal - here)))
        found = MapDistance(floor, tuple(goal))(tuple(here))
        assert straight - 1e-6 <= found <= 1.03 * straight + 1e-6


def test_the_way_leads_around_a_wall():
    floor = room((512, 0, 512, 800))
    goal, here = (612.0, 200.0), (412.0, 200.0)
    margin, apart = 26.0, float(np.hypot(100, 600))  # kept from the wall's end at (512, 800), which is this far away
    arc = 2 * np.pi - 2 * np.arctan2(100, 600) - 2 * np.arccos(margin / apart)
    around = 2 * np.sqrt(apart**2 - margin**2) + margin * arc
    assert MapDistance(floor, goal)(here) == pytest.approx(around, rel=0.04)
    assert MapDistance(room(), goal)(here) == pytest.approx(200, rel=0.03)


def test_distance_falls_by_at_most_the_way_walked():
    rng = np.random.default_rng(1)
    space = known_map(2).space
    goal = space.sample(rng)
    distance = map_distance(2, -goal[1] / 32, goal[0] / 32)
    for _ in range(200):
        x, y = space.sample(rng)
        step = rng.normal(size=2)
        step *= 24 / np.hypot(*step)
        if space.clear_lengths((x, y), np.array([np.arctan2(step[1], step[0])]), 24.0)[0] < 24:
            continue
        change = metres_to_goal(distance, -y / 32, x / 32) - metres_to_goal(
            distance, -(y + step[1]) / 32, (x + step[0]) / 32
        )
        assert abs(change) <= 0.75 * 1.03 + 0.35


def test_a_place_inside_a_wall_has_a_finite_distance():
    floor = room((512, 0, 512, 800))
    assert np.isfinite(MapDistance(floor, (612.0, 200.0))((512.0, 200.0)))
    assert np.isfinite(MapDistance(floor, (612.0, 200.0))((-5000.0, 200.0)))


@pytest.mark.parametrize("goal", [(512.0, 200.0), (-50.0, 200.0), (2000.0, 200.0), (1e9, -1e9)])
def test_a_goal_in_a_wall_or_outside_is_refused(goal):
    with pytest.raises(ValueError, match="inside a wall or outside of the rooms"):
        MapDistance(room((512, 0, 512, 800)), goal)
