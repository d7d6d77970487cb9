import numpy as np
import pytest

from li_env.accel.geometry.camera import relative_motion
from li_env.doom.collision import RADIUS, Walls
from li_env.doom.maps import generate_map
from li_env.doom.renderer import renderable_poses
from li_env.doom.splits import TEST
from li_env.doom.trajectories import world_poses
from li_env.evaluation.fidelity.walks import LOOKS, WALKS, looks, walks, world_matrices

MAP = generate_map(TEST[1])
REVISITS = looks(MAP, RADIUS, 5)


def test_walks_have_the_length_asked_for_and_can_be_shown():
    found = walks(MAP, WALKS, 12, RADIUS, 3)
    assert tuple(found) == WALKS
    for walk in found.values():
        assert walk.doom_poses.shape == (12, 3) and walk.commanded.shape == walk.feasible.shape == (11, 3)
        np.testing.assert_array_equal(renderable_poses(walk.doom_poses), walk.doom_poses)
        assert (walk.first_look == -1).all()


def test_revisits_are_the_same_for_the_same_seed_only():
    again, other = looks(MAP, RADIUS, 5), looks(MAP, RADIUS, 6)
    for kind in LOOKS:
        np.testing.assert_array_equal(REVISITS[kind].doom_poses, again[kind].doom_poses)
        assert not np.array_equal(REVISITS[kind].doom_poses, other[kind].doom_poses)


@pytest.mark.parametrize("kind, half", [("out_and_back", 32), ("spin", 24), ("square", 32)])
def test_the_second_look_takes_the_poses_of_the_first(kind, half):
    walk = REVISITS[kind]
    assert walk.doom_poses.shape == (2 * half, 3)
    assert (walk.first_look[:half] == -1).all() and (walk.first_look[half:] >= 0).all()
    np.testing.assert_array_equal(walk.doom_poses[half:], walk.doom_poses[walk.first_look[half:]])
    assert sorted(walk.first_look[half:]) == list(range(half))


def test_the_offset_way_back_lies_beside_the_way_out():
    walk = REVISITS["offset"]
    shift = walk.doom_poses[32:] - walk.doom_poses[walk.first_look[32:]]
    assert np.ptp(shift, axis=0).max() < 1e-9
    assert 7 <= np.hypot(*shift[0, :2]) <= 25 and shift[0, 2] == 0
    motion = relative_motion(*world_matrices(walk.doom_poses[31:33]))
    assert abs(motion.right) > 0.2 and abs(motion.forward) < 0.03, "one step aside"


def test_revisits_keep_off_walls_and_move_as_far_as_a_key_does():
    walls = Walls([MAP.segments])
    for walk in REVISITS.values():
        clearance = walls.clearance(np.zeros(len(walk.doom_poses), dtype=int), walk.doom_poses[:, :2])
        assert clearance.min() > 16
        steps = np.diff(walk.doom_poses, axis=0)
        assert np.hypot(steps[:, 0], steps[:, 1]).max() < 34
        assert np.abs((steps[:, 2] + 180) % 360 - 180).max() < 16


def test_a_spin_sees_all_directions_and_a_square_comes_round():
    spin, square = REVISITS["spin"].doom_poses, REVISITS["square"].doom_poses
    assert len(np.unique(np.round(spin[:24, 2] / 15 % 24, 1))) == 24
    np.testing.assert_allclose(square[32, :2], square[31, :2], atol=25)
    assert np.ptp(square[:, 0]) > 40 and np.ptp(square[:, 1]) > 40


def test_matrices_agree_with_planar_world_poses():
    doom = np.array([[64.0, -32.0, 90.0], [0.0, 320.0, 200.0]])
    matrices, planar = world_matrices(doom), world_poses(doom)
    np.testing.assert_allclose(matrices[:, [0, 2], 3], planar[:, :2], atol=1e-6)
    yaw = np.radians(planar[:, 2])
    np.testing.assert_allclose(matrices[:, :3, 2], np.stack([np.sin(yaw), 0 * yaw, np.cos(yaw)], -1), atol=1e-6)
    np.testing.assert_allclose(matrices[:, :3, :3] @ matrices[:, :3, :3].swapaxes(1, 2), [np.eye(3)] * 2, atol=1e-12)
