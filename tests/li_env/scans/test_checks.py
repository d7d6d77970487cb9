from __future__ import annotations

import numpy as np
import pytest

from li_env.accel.geometry.camera import inverse
from li_env.scans.checks import check_distances, check_intrinsics, check_poses, spot_distances
from li_env.scans.scan import Scan, check_scale
from tests.li_env.scans.room import FLIP, level, noise, room_poses

WALK = np.stack([level(3 + 0.3 * step, 5 + 0.2 * step, 15 * step) for step in range(30)])
ORBIT = np.stack([level(-4 * np.sin(turn), -4 * np.cos(turn), np.degrees(turn)) for turn in np.linspace(0, 6, 40)])
CIRCLE = np.stack([level(4 * np.sin(turn), 4 * np.cos(turn), np.degrees(turn) + 90) for turn in np.linspace(0, 6, 20)])
SHUFFLED = np.random.default_rng(0).permutation(40)


def test_rigid_poses_come_back_as_they_are():
    for poses in (WALK, ORBIT, ORBIT[SHUFFLED], CIRCLE, room_poses(), np.eye(4)[None]):
        np.testing.assert_array_equal(check_poses(poses), poses)


def test_rotations_that_a_text_file_rounded_are_mended():
    poses = WALK.round(4)
    mended = check_poses(poses)
    turns = mended[:, :3, :3]
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), turns.shape), atol=1e-12)
    assert 0 < np.abs(mended - poses).max() < 1e-4
    np.testing.assert_array_equal(poses, WALK.round(4))


def changed(**parts: float) -> np.ndarray:
    poses = WALK.copy()
    for key, value in parts.items():
        poses[2][int(key[1]), int(key[2])] = value
    return poses


@pytest.mark.parametrize(
    ("poses", "message"),
    [
        (WALK * np.array([2.0, 2, 2, 1]), "pose 0 carries a scale of 2; use poses[:, :3, :3] / 2 (30 such poses)"),
        (WALK * np.array([1.0, 1, 2, 1]), "pose 0 has no rotation in its first three columns"),
        (WALK * np.array([0.0, 0, 0, 1]), "pose 0 has no rotation"),
        (WALK * np.array([1.0, -1, 1, 1]), "mirrors (determinant -1): a left-handed camera"),
        (WALK.transpose(0, 2, 1), "position in the last row: it is transposed; use poses.transpose(0, 2, 1)"),
        (WALK @ FLIP, "every camera is upside down where y points down; OpenGL or Blender axes? use axes='opengl'"),
        (inverse(WALK), "world-to-camera matrices (extrinsics); allowed: camera-to-world, np.linalg.inv(poses)"),
        (inverse(room_poses()), "world-to-camera matrices"),
        (changed(_33=2.0), "pose 2 has another last row than 0 0 0 1"),
        (changed(_03=np.nan), "pose 2 holds NaN or infinity"),
        (changed(_03=np.inf), "pose 2 holds NaN or infinity"),
        (changed(_03=1e7), "pose 2 lies 1,000,000 or more from the origin"),
        (WALK[:, :3], "add the row 0 0 0 1"),
        (WALK[0], "poses of shape [4, 4] are not usable"),
        (np.zeros((0, 4, 4)), "poses of shape [0, 4, 4] are not usable"),
        ("poses", "poses=str is not usable"),
        (None, "are not usable"),
    ],
)  # fmt: skip
def test_other_poses_are_refused_with_their_cause(poses, message):
    with pytest.raises(ValueError) as caught:
        check_poses(poses)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_remedies_in_the_messages_help():
    poses = WALK * np.array([2.0, 2, 2, 1])
    poses[:, :3, :3] /= 2
    np.testing.assert_array_equal(check_poses(poses), WALK)
    np.testing.assert_array_equal(check_poses(WALK.transpose(0, 2, 1).transpose(0, 2, 1)), WALK)
    poses = WALK @ FLIP
    poses[:, :3, 1:3] *= -1
    np.testing.assert_array_equal(check_poses(poses), WALK)
    np.testing.assert_allclose(check_poses(np.linalg.inv(inverse(WALK))), WALK, atol=1e-9)


def test_distances_are_between_spots_not_between_headings():
    np.testing.assert_allclose(spot_distances(room_poses(4)), np.hypot(1.3, 0.9))
    assert len(spot_distances(room_poses(1))) == 0
    many = np.tile(np.eye(4), (600, 1, 1))
    many[:, 0, 3] = np.arange(600) * 0.25
    np.testing.assert_allclose(spot_distances(many), 0.25)


@pytest.mark.parametrize(("factor", "hint"), [(1000, "millimetres? scale=0.001"), (100, "centimetres? scale=0.01")])
def test_units_that_make_no_overlap_are_refused(factor, hint):
    poses = room_poses()
    poses[:, :3, 3] *= factor
    with pytest.raises(ValueError, match="no two views overlap; another unit of length") as caught:
        check_distances(poses, 12.0)
    assert hint in str(caught.value)


def test_a_scan_with_neighbours_a_thousand_units_away_is_refused_without_a_world():
    poses = np.stack([level(1000.0 * index, 0, 0) for index in range(3)])
    with pytest.raises(ValueError, match="neighbouring spots of the scan are 1,000 apart"):
        Scan(noise(3), poses)
    poses[:, 0, 3] /= 50
    scan = Scan(noise(3), poses)
    check_scale(scan, 12.0)
    with pytest.raises(ValueError, match="20 apart, but a view shows 8"):
        check_scale(scan, 8.0)


@pytest.mark.parametrize(
    "intrinsics",
    [[1, 2, 3], [[1.0, 1, 1, 1]] * 2, [0.0, 1, 1, 1], [1.0, -1, 1, 1], [1.0, 1, np.nan, 1], "lens", [["a"] * 4] * 3],
)
def test_other_intrinsics_are_refused(intrinsics):
    with pytest.raises(ValueError, match=r"allowed: \(fx, fy, cx, cy\) in pixels, \[4\] or \[3, 4\]"):
        check_intrinsics(intrinsics, 3)
