from __future__ import annotations

import numpy as np
import pytest

from li_env.accel.geometry.camera import inverse
from li_env.scans.agreement import compare_views
from li_env.scans.axes import other_cameras
from li_env.scans.report import agreement_in_words, wrong_in_words
from tests.li_env.scans.room import LENS, level, noise, room_scan, view

ROOM = room_scan(3)
"""Fewest views that are judged."""


def swapped(*pairs: tuple[int, int]) -> np.ndarray:
    poses = ROOM.poses.copy()
    for one, two in pairs:
        poses[[one, two]] = poses[[two, one]]
    return poses


def test_right_poses_agree():
    found = compare_views(ROOM.images, ROOM.poses, LENS)
    assert found.wrong == () and found.fits == {} and found.convention == ""
    assert found.compared == 24 and found.margins.min() > 0.2
    assert agreement_in_words(found) == "24 compared; 0 disagree"


@pytest.mark.parametrize("pairs", [((3, 20),), ((8, 9),), ((0, 23), (12, 17))])
def test_swapped_poses_are_found_and_named(pairs):
    found = compare_views(ROOM.images, swapped(*pairs), LENS)
    assert sorted(found.wrong) == sorted(view for pair in pairs for view in pair)
    assert found.fits == {**dict(pairs), **{two: one for one, two in pairs}}
    one, two = pairs[0]
    assert f"{one} (fits the pose of view {two})" in wrong_in_words(found)


def test_a_pose_that_is_simply_wrong_is_found():
    poses = ROOM.poses.copy()
    poses[13] = level(-2.0, -1.5, 10.0)
    found = compare_views(ROOM.images, poses, LENS)
    assert found.wrong == (13,) and found.fits == {}
    assert wrong_in_words(found) == "13"


def test_views_between_wrong_ones_are_not_blamed():
    room = room_scan(6)
    poses = room.poses.copy()
    for one, two in ((0, 4), (2, 6)):  # every other heading of a spot: those between have no right neighbour there
        poses[[one, two]] = poses[[two, one]]
    found = compare_views(room.images, poses, LENS)
    assert sorted(found.wrong) == [0, 2, 4, 6] and np.isnan(found.margins[3])


def test_a_walk_agrees_and_a_frame_out_of_place_does_not():
    poses = np.stack([level(-3 + 0.12 * step, -3 + 0.1 * step, 3.0 * step) for step in range(32)])
    images = np.stack([view(pose) for pose in poses])
    assert compare_views(images, poses, LENS).wrong == ()
    poses[[5, 27]] = poses[[27, 5]]
    assert sorted(compare_views(images, poses, LENS).wrong) == [5, 27]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_cameras, "OpenGL axes: read with axes='opengl'"),
        (inverse, "world-to-camera matrices: use np.linalg.inv(poses)"),
        (lambda poses: inverse(other_cameras(poses)), "world-to-camera matrices with OpenGL axes"),
    ],
)
def test_another_convention_is_recognised(change, words):
    found = compare_views(ROOM.images, change(ROOM.poses), LENS)
    assert found.wrong == () and found.compared == 0
    assert found.convention.startswith(words)
    assert words in agreement_in_words(found)


def test_views_that_share_nothing_are_not_judged():
    found = compare_views(noise(16, 48, 64), ROOM.poses[:16], LENS)
    assert found.compared == 0 and found.wrong == () and found.convention == ""
    assert "too few views, too far from each other, or plain" in agreement_in_words(found)
    plain = compare_views(np.full((16, 48, 64, 3), 90, np.uint8), ROOM.poses[:16], LENS)
    assert plain.compared == 0 and plain.wrong == ()
    few = compare_views(ROOM.images[:3], ROOM.poses[:3], LENS)
    assert few.compared == 0


def test_a_plain_view_among_others_is_not_judged():
    images = ROOM.images.copy()
    images[6] = 90
    found = compare_views(images, ROOM.poses, LENS)
    assert found.wrong == () and np.isnan(found.margins[6]) and found.compared == 23
    assert agreement_in_words(found) == "23 compared, 1 are too far from others or too plain; 0 disagree"


def test_lenses_count():
    lenses = np.tile(LENS, (24, 1))
    images = ROOM.images.copy()
    for index in range(0, 24, 2):  # the middle half, enlarged
        images[index] = images[index, 12:36, 16:48].repeat(2, 0).repeat(2, 1)
        lenses[index] = [64, 64, 32, 24]
    right, wrong = (compare_views(images, ROOM.poses, each) for each in (lenses, LENS))
    assert np.nanmean(right.margins) > 0.2 and right.wrong == ()
    assert np.nanmean(np.nan_to_num(wrong.margins)) < 0.7 * np.nanmean(right.margins)


def test_the_same_seed_gives_the_same_answer_and_every_view_is_reported():
    views = []
    one = compare_views(ROOM.images, ROOM.poses, LENS, 3, lambda: views.append(1))
    two = compare_views(ROOM.images, ROOM.poses, LENS, 3)
    np.testing.assert_array_equal(one.margins, two.margins)
    assert len(views) == 24
