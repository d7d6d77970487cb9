import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from li_env.doom.collision import LONGEST_STEP, RADIUS, Walls, segment_distances, slide
from li_env.doom.maps import generate_map

ROOM = np.array([[0, 0, 0, 400], [0, 400, 400, 400], [400, 400, 400, 0], [400, 0, 0, 0]], dtype=float)


def test_segment_distances_inside_and_beyond_the_ends():
    offsets, distances = segment_distances(np.array([[5.0, 3.0], [13.0, 4.0]]), np.array([0.0, 0.0, 10.0, 0.0]))
    np.testing.assert_allclose(distances, [3.0, 5.0])
    np.testing.assert_allclose(offsets, [[0.0, 3.0], [3.0, 4.0]])


def test_free_motion_is_untouched():
    np.testing.assert_array_equal(slide(ROOM, np.array([200.0, 200.0]), np.array([24.0, -7.0])), [224.0, 193.0])


def test_head_on_stops_at_the_radius():
    np.testing.assert_allclose(slide(ROOM, np.array([370.0, 200.0]), np.array([24.0, 0.0])), [400 - RADIUS, 200.0])


def test_slanted_contact_keeps_the_motion_along_the_wall():
    end = slide(ROOM, np.array([380.0, 200.0]), np.array([20.0, 15.0]))
    np.testing.assert_allclose(end, [400 - RADIUS, 215.0], atol=1e-6)


def test_corner_stops_both_axes():
    end = slide(ROOM, np.array([380.0, 380.0]), np.array([20.0, 20.0]))
    np.testing.assert_allclose(end, [400 - RADIUS, 400 - RADIUS], atol=1e-6)


def test_thin_wall_is_not_jumped():
    thin = np.concatenate([ROOM, [[200.0, 0.0, 200.0, 400.0]]])
    assert slide(thin, np.array([180.0, 200.0]), np.array([LONGEST_STEP, 0.0]))[0] <= 200 - RADIUS + 1e-6


def test_narrow_wedge_never_lets_the_player_in():
    wedge = np.array([[0, 0, 300, 30], [0, 0, 300, -30], [300, 30, 300, 200], [300, -30, 300, -200]], dtype=float)
    here = np.array([400.0, 0.0])
    for _ in range(30):
        here = slide(wedge, here, np.array([-24.0, 0.5]))
    assert segment_distances(here[None, None], wedge[None])[1].min() >= RADIUS - 1e-5


def test_too_long_a_step():
    with pytest.raises(ValueError, match=r"displacement 50\.000 .*allowed: up to 48"):
        slide(ROOM, np.array([200.0, 200.0]), np.array([50.0, 0.0]))


def test_maps_in_one_batch_do_not_mix():
    moved = ROOM + 1000.0
    walls = Walls([ROOM, moved])
    ends = walls.slide(np.array([0, 1]), np.array([[370.0, 200], [1370.0, 1200]]), np.array([[24.0, 0], [24.0, 0]]))
    np.testing.assert_allclose(ends, [[400 - RADIUS, 200], [1400 - RADIUS, 1200]])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), radius=st.sampled_from([RADIUS, 24.0]))
def test_walkers_keep_their_radius_and_cross_no_wall(seed, radius):
    world = generate_map(seed)
    walls = Walls([world.segments], radius)
    rng = np.random.default_rng(seed)
    here = np.array([world.start] * 8)
    which = np.zeros(8, dtype=int)
    if walls.clearance(which, here).min() < radius:
        return
    headings = rng.uniform(0, 2 * np.pi, 8)
    for _ in range(40):
        headings += rng.normal(0, 0.4, 8)
        there = walls.slide(which, here, 24.0 * np.stack([np.cos(headings), np.sin(headings)], 1))
        # all segments, not only those of the bucket
        assert segment_distances(there[:, None], world.segments[None])[1].min() >= radius - 1e-5
        # being pushed off a corner can add a little to a step, never much
        assert np.hypot(*(there - here).T).max() <= 24.0 * 1.05
        assert not _crosses(here, there, world.segments)
        here = there


def _crosses(a, b, segments):
    """Return whether any straight move a -> b [n, 2] properly crosses any segment."""
    c, d = segments[None, :, :2], segments[None, :, 2:]
    a, b = a[:, None], b[:, None]

    def side(p, q, r):
        return np.sign(
            (q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1]) - (q[..., 1] - p[..., 1]) * (r[..., 0] - p[..., 0])
        )

    return bool(((side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0)).any())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), others=st.integers(9, 40))
def test_a_walker_among_others_walks_as_alone(seed, others):
    """Bit for bit, in whole walks into walls, with steps of all lengths, whatever maps the others are in."""
    rng = np.random.default_rng(seed)
    maps = [generate_map(int(entry)) for entry in rng.integers(0, 100_000, 3)]
    parts = [Walls([entry.segments]) for entry in maps]
    joined, which = Walls.join(parts), np.append(0, rng.integers(0, 3, others))
    here = np.array([maps[k].sample_free_position(rng) for k in which], dtype=float)
    alone, headings, touched = here.copy(), rng.uniform(0, 2 * np.pi, 1 + others), 0
    for _ in range(12):
        headings += rng.normal(0, 0.3, 1 + others)
        lengths = rng.choice([0.0, 3.0, 8.0, 8.1, 24.0, 33.9, LONGEST_STEP], 1 + others)
        steps = lengths[:, None] * np.stack([np.cos(headings), np.sin(headings)], 1)
        here, before = joined.slide(which, here, steps), here
        touched += (here != before + steps).any(1).sum()
        order = rng.permutation(1 + others)
        np.testing.assert_array_equal(joined.slide(which[order], before[order], steps[order]), here[order])
        for row, k in enumerate(which.tolist()):
            alone[row] = parts[k].slide(np.zeros(1, int), alone[row][None], steps[row][None])[0]
        np.testing.assert_array_equal(alone, here)
    assert touched > 2


def test_joined_walls_are_those_of_the_parts():
    rng = np.random.default_rng(0)
    maps = [generate_map(seed) for seed in (1, 2, 3)]
    together = Walls([entry.segments for entry in maps])
    joined = Walls.join([Walls([maps[0].segments, maps[1].segments]), Walls([maps[2].segments])])
    which = np.arange(60) % 3
    positions = np.array([maps[k].sample_free_position(rng) for k in which], dtype=float)
    steps = rng.uniform(-33, 33, (60, 2))
    np.testing.assert_array_equal(joined.slide(which, positions, steps), together.slide(which, positions, steps))
    assert (joined.slide(which, positions, steps) != positions + steps).any()
