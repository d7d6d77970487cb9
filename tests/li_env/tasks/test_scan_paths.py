"""Paths along the places of a scan."""

from __future__ import annotations

import numpy as np
import pytest

from li_env.tasks.scan_paths import ScanPaths
from tests.accel.level import level


def paths(places: list[tuple[float, float]]) -> ScanPaths:
    x, z = np.array(places, dtype=float).T
    return ScanPaths(level(np.repeat(x, 2), np.repeat(z, 2), np.tile([0.0, 1.0], len(x))))


CORNER = [(0.0, float(z)) for z in range(6)] + [(float(x), 5.0) for x in range(1, 6)]
"""A corridor ahead, then to the right, with a view every metre."""


def test_a_path_goes_along_the_places_and_not_across() -> None:
    graph = paths(CORNER)
    assert len(graph.places) == len(CORNER)
    field = graph.to((5.0, 5.0))
    points = np.array([[0.0, 0.0], [0.0, 5.0], [4.2, 5.0], [5.0, 5.0], [3.0, 5.0]])
    # Cutting the corner between neighbours of neighbours is allowed: 1.5 usual steps.
    expected = [8 + np.sqrt(2), 5.0, 0.8, 0.0, 2.0]
    np.testing.assert_allclose(field.at(points), expected, atol=1e-6)
    np.testing.assert_allclose(field.near(points), field.at(points))
    assert field.at(np.array([[0.0, 0.0]]))[0] > np.hypot(5, 5) + 1


def test_there_and_back_are_equally_long() -> None:
    graph = paths(CORNER)
    for place in ((2.0, 5.0), (0.0, 1.0), (0.3, 3.2)):
        there = graph.to((5.0, 5.0)).at(np.array([place]))[0]
        assert graph.to(place).at(np.array([[5.0, 5.0]]))[0] == pytest.approx(there)


def test_a_gap_is_bridged_so_that_every_place_can_be_reached() -> None:
    field = paths([(0.0, 0.0), (0.0, 1.0), (0.0, 2.0), (9.0, 2.0), (9.0, 3.0)]).to((9.0, 3.0))
    assert field.at(np.array([[0.0, 0.0]]))[0] == pytest.approx(2 + 9 + 1)


def test_one_place_alone_has_straight_paths() -> None:
    field = paths([(2.0, 3.0)]).to((2.0, 3.0))
    np.testing.assert_allclose(field.at(np.array([[2.0, 4.0], [5.0, 7.0]])), [1.0, 5.0])
