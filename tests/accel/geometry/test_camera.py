from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from li_env.accel.geometry.camera import (
    POLE,
    STILL,
    CameraMotion,
    follow,
    inverse,
    motion_table,
    move,
    relative_motion,
    stop_at_poles,
)
from tests.oracle import load_oracle

angles = st.floats(-170, 170)
pitches = st.floats(-85, 85)
lengths = st.floats(-5, 5)
motions = st.builds(CameraMotion, yaw=angles, pitch=pitches, right=lengths, forward=lengths)


def test_axes_and_signs() -> None:
    start = np.eye(4)
    np.testing.assert_allclose(move(start, CameraMotion(forward=2))[:3, 3], (0, 0, 2))
    np.testing.assert_allclose(move(start, CameraMotion(right=2))[:3, 3], (2, 0, 0))
    right_turn = move(start, CameraMotion(yaw=90))
    np.testing.assert_allclose(right_turn[:3, 2], (1, 0, 0), atol=1e-12)  # looks along +x, to the right
    up = move(start, CameraMotion(pitch=90))
    np.testing.assert_allclose(up[:3, 2], (0, -1, 0), atol=1e-12)  # y points down


def test_rotation_comes_before_translation() -> None:
    turned = move(np.eye(4), CameraMotion(yaw=90, forward=2))
    np.testing.assert_allclose(turned[:3, 3], (2, 0, 0), atol=1e-12)


@given(first=motions, motion=motions)
def test_relative_motion_inverts_move(first: CameraMotion, motion: CameraMotion) -> None:
    start = move(np.eye(4), first)
    found = relative_motion(start, move(start, motion))
    for name in ("yaw", "pitch", "right", "forward"):
        assert getattr(found, name) == pytest.approx(getattr(motion, name), abs=1e-9)


@given(first=motions, second=motions)
def test_inverse(first: CameraMotion, second: CameraMotion) -> None:
    poses = np.stack([move(np.eye(4), first), move(move(np.eye(4), first), second)])
    np.testing.assert_allclose(inverse(poses), np.linalg.inv(poses), atol=1e-9)


def test_follow_is_repeated_move_and_leaves_its_input() -> None:
    start = move(np.eye(4), CameraMotion(yaw=20, right=1))
    before = start.copy()
    steps = [CameraMotion(forward=1), CameraMotion(yaw=30, pitch=10), CameraMotion(right=-1)]
    expected = []
    pose = start
    for step in steps:
        pose = move(pose, step)
        expected.append(pose)
    np.testing.assert_array_equal(follow(start, steps), np.stack(expected))
    np.testing.assert_array_equal(start, before)
    assert follow(start, []).shape == (0, 4, 4)


def test_scaled_and_finite() -> None:
    assert CameraMotion(1, 2, 3, 4).scaled(0.5) == CameraMotion(0.5, 1, 1.5, 2)
    assert STILL.is_finite()
    assert not CameraMotion(forward=float("nan")).is_finite()
    assert not CameraMotion(yaw=float("inf")).is_finite()


def test_compound_motions_match_oracle() -> None:
    description, tensors = load_oracle("hy_worldplay_tiny")
    poses, compared = tensors["compound/c2w"], 0
    for index, entry in enumerate(description["compound"]["motions"]):
        if "third_yaw" in entry:  # a camera around a figure, which `CameraMotion` cannot express
            continue
        motion = CameraMotion(
            yaw=np.degrees(entry.get("yaw", 0.0)),
            pitch=np.degrees(entry.get("pitch", 0.0)),
            right=entry.get("right", 0.0),
            forward=entry.get("forward", 0.0),
        )
        np.testing.assert_allclose(move(poses[index], motion), poses[index + 1], atol=1e-12)
        compared += 1
    assert compared


def tilt(pose: np.ndarray) -> float:
    """Return the degrees between the camera's down axis and the world's."""
    return float(np.degrees(np.arccos(np.clip(pose[1, 1], -1, 1))))


@given(
    st.lists(
        st.tuples(st.floats(-90, 90), st.floats(-60, 60), st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=12
    )
)
def test_no_motion_leads_over_a_pole(rows) -> None:
    pose = np.eye(4)
    for row in rows:
        wanted = (CameraMotion(*row), CameraMotion(*row))
        real = stop_at_poles(pose, wanted)
        for motion, asked in zip(real, wanted, strict=True):
            assert (motion.yaw, motion.right, motion.forward) == (asked.yaw, asked.right, asked.forward)
            assert min(asked.pitch, 0) <= motion.pitch <= max(asked.pitch, 0)
            pose = move(pose, motion)
            assert tilt(pose) <= POLE + 1e-6


def test_looking_up_stops_at_the_pole_and_down_again_is_free() -> None:
    up = stop_at_poles(np.eye(4), [CameraMotion(pitch=40.0)] * 4)
    assert [motion.pitch for motion in up] == pytest.approx([40.0, 40.0, 9.0, 0.0])
    highest = follow(np.eye(4), up)[-1]
    down = [CameraMotion(pitch=-60.0)] * 3
    assert [motion.pitch for motion in stop_at_poles(highest, down)] == pytest.approx([-60.0, -60.0, -58.0])


def test_motions_within_reach_are_handed_back_themselves() -> None:
    motions = (CameraMotion(pitch=30.0), CameraMotion(yaw=50.0, pitch=30.0))
    assert all(one is other for one, other in zip(stop_at_poles(np.eye(4), motions), motions, strict=True))


def test_a_camera_that_begins_upside_down_may_only_turn_back() -> None:
    over = move(np.eye(4), CameraMotion(pitch=120.0))
    further, back = (stop_at_poles(over, [CameraMotion(pitch=pitch)])[0].pitch for pitch in (20.0, -20.0))
    assert (further, back) == (0.0, -20.0)


def test_a_table_of_shared_motions_has_the_rows_of_every_episode():
    ahead, aside = (CameraMotion(forward=1.0),) * 2, (CameraMotion(yaw=3.0, right=2.0),) * 2
    episodes = [ahead, aside, ahead, (CameraMotion(pitch=1.0), STILL), aside]
    rows = [[(each.yaw, each.pitch, each.right, each.forward) for each in episode] for episode in episodes]
    np.testing.assert_array_equal(motion_table(episodes), np.array(rows))
    np.testing.assert_array_equal(motion_table([ahead] * 3), np.array([rows[0]] * 3))
