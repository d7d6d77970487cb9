from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from li_env.scans.axes import other_cameras, upright
from tests.li_env.scans.room import FLIP, room_poses

AXES = [np.eye(3)[axis] * sign for axis, sign in product(range(3), (1, -1))]


def world_with_down(down: np.ndarray) -> np.ndarray:
    """Return a turn [4, 4] after which the axis y of the room points to ``down``."""
    side = np.roll(np.abs(down), 1)
    turn = np.eye(4)
    turn[:3, :3] = np.stack([side, down, np.cross(side, down)], 1)
    assert np.linalg.det(turn) > 0
    return turn


@pytest.mark.parametrize("down", AXES, ids=str)
def test_every_world_is_turned_upright_without_losing_a_digit(down):
    poses = room_poses()
    turned = world_with_down(down) @ poses
    found = upright(turned)
    np.testing.assert_allclose(found[:, 1, 1], 1.0)
    steps = np.linalg.inv(poses[0]) @ poses
    np.testing.assert_allclose(np.linalg.inv(found[0]) @ found, steps, atol=1e-12)
    assert set(np.abs(found).ravel()) == set(np.abs(turned).ravel())


def test_upright_and_contradictory_cameras_are_left_alone():
    poses = room_poses()
    assert upright(poses) is poses
    all_ways = np.stack([world_with_down(down) for down in AXES])
    assert upright(all_ways) is all_ways


def test_camera_axes():
    poses = room_poses()
    np.testing.assert_array_equal(other_cameras(poses), poses @ FLIP)
    assert other_cameras(other_cameras(poses)).tobytes() == poses.tobytes()
