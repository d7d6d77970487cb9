import numpy as np
import pytest

from li_env.doom.collision import RADIUS, Walls, segment_distances
from li_env.doom.maps import generate_map
from li_env.doom.space import FreeSpace, largest_regions

ROOM = np.array([[0, 0, 0, 600], [0, 600, 600, 600], [600, 600, 600, 0], [600, 0, 0, 0]], dtype=float)
DIVIDED = np.concatenate([ROOM, [[200.0, 0.0, 200.0, 400.0]]])  # a wall with a gap at its upper end
SPLIT = np.concatenate([ROOM, [[200.0, 0.0, 200.0, 600.0]]])


@pytest.mark.parametrize("seed", range(6))
def test_samples_are_clear_of_walls(seed):
    world = generate_map(seed)
    rng = np.random.default_rng(0)
    points = np.array([world.sample_free_position(rng) for _ in range(200)], dtype=float)
    assert segment_distances(points[:, None], world.segments[None])[1].min() >= RADIUS


def test_samples_stay_in_the_region_of_the_start():
    space = FreeSpace(SPLIT, (100.0, 300.0))
    rng = np.random.default_rng(0)
    assert max(space.sample(rng)[0] for _ in range(200)) < 200
    assert space.area == pytest.approx((200 - 2 * 26) * (600 - 2 * 26), rel=0.15)


def test_start_inside_a_wall():
    with pytest.raises(ValueError, match=r"too close to a wall; allowed: 26\.0"):
        FreeSpace(ROOM, (5.0, 300.0))


def test_clear_lengths():
    space = FreeSpace(DIVIDED, (100.0, 300.0))
    lengths = space.clear_lengths((100.0, 300.0), np.radians([0.0, 90.0, 180.0]), 400.0)
    np.testing.assert_allclose(lengths, [100 - 26, 300 - 26, 100 - 26], atol=16)
    assert space.clear_lengths((400.0, 300.0), np.array([np.pi / 2]), 96.0)[0] == pytest.approx(96.0, abs=8)


def test_route_leads_around_the_wall_without_contact():
    space = FreeSpace(DIVIDED, (100.0, 100.0))
    corners = space.route((100.0, 100.0), (300.0, 100.0))
    assert corners[-1] == (300.0, 100.0)
    walls = Walls([DIVIDED])
    here = np.array([100.0, 100.0])
    for corner in corners:
        while np.hypot(*(corner - here)) > 1e-9:
            step = (corner - here) / max(1.0, np.hypot(*(corner - here)) / 24.0)
            there = walls.slide(np.zeros(1, int), here[None], step[None])[0]
            np.testing.assert_allclose(there, here + step, atol=1e-6)
            here = there


def test_route_to_another_region_is_empty():
    assert FreeSpace(SPLIT, (100.0, 100.0)).route((100.0, 100.0), (400.0, 100.0)) == []


def test_largest_regions_are_sorted_and_leave_out_the_surroundings():
    (first, a), (second, b) = largest_regions(SPLIT, RADIUS, 5)
    assert first > second and a[0] > 200 > b[0]
