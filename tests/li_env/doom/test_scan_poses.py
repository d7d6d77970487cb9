from functools import cache

import numpy as np
import pytest

from li_env.doom.maps import generate_map
from li_env.doom.renderer import renderable_poses
from li_env.doom.scan_poses import scan_poses, scan_spots, training_scan

SPACE = generate_map(20_000_003).space


@cache
def spots_of(spacing: float) -> np.ndarray:
    return scan_spots(SPACE, spacing)


@pytest.mark.parametrize("spacing", [2.5, 4.0])
def test_every_free_place_is_near_a_spot(spacing):
    free, origin, side = SPACE.grid
    rows, columns = np.nonzero(free)
    places = origin + np.stack([columns, rows], -1) * side
    spots = spots_of(spacing)
    squares = (places**2).sum(1)[:, None] - 2 * places @ spots.T + (spots**2).sum(1)
    nearest = np.sqrt(squares.min(1).clip(0)) / 32
    assert nearest.max() <= spacing / np.sqrt(2) + 0.05  # spots are whole map units
    assert SPACE.contains_all(spots).all()


def test_a_denser_scan_has_more_spots():
    assert len(spots_of(2.5)) > 1.5 * len(spots_of(4.0))


def test_views_look_evenly_around():
    poses = scan_poses(np.array([[32.0, 64.0], [0.0, 0.0]]), 4, np.array([10.0, 0.0]))
    np.testing.assert_array_equal(poses[:4, :2], [[32, 64]] * 4)
    np.testing.assert_allclose(poses[:4, 2], [10, 100, 190, 280], atol=0.01)


def test_training_scans_have_the_views_asked_for():
    path = np.array([SPACE.sample(np.random.default_rng(0))], dtype=float).repeat(8, 0)
    poses = training_scan(SPACE, path, 20, (1.5, 5.0), np.random.default_rng(1))
    assert poses.shape == (20, 3)
    np.testing.assert_array_equal(poses, renderable_poses(poses))
    assert SPACE.contains_all(poses[:, :2]).all()
