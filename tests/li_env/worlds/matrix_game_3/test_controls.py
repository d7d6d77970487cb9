"""Motions as keys and mouse: the same poses as the original's rows, and what is possible."""

from __future__ import annotations

import numpy as np
import pytest

from li_env.accel.geometry.camera import CameraMotion
from li_env.actions import ActionMapper
from li_env.worlds.matrix_game_3.controls import DIAGONAL, MOTION, action_rows, follow_motions, possible_motion
from li_env.worlds.matrix_game_3.kinematics import AXES, camera_to_world, follow_rows
from tests.reference.matrix_game_3.original import rows_of

STEP, TURN = MOTION.translation, MOTION.rotation
TABLE = {
    # the original's (mouse, key) tokens: our motion
    ("u", "w"): CameraMotion(forward=STEP),
    ("u", "s"): CameraMotion(forward=-STEP),
    ("u", "a"): CameraMotion(right=-STEP),
    ("u", "d"): CameraMotion(right=STEP),
    ("l", "q"): CameraMotion(yaw=TURN),
    ("j", "q"): CameraMotion(yaw=-TURN),
    ("k", "q"): CameraMotion(pitch=TURN),
    ("i", "q"): CameraMotion(pitch=-TURN),
    ("l", "w"): CameraMotion(yaw=TURN, forward=STEP),
    ("i", "d"): CameraMotion(pitch=-TURN, right=STEP),
}


@pytest.mark.parametrize("tokens", TABLE)
def test_rows_are_those_of_the_originals_keys(tokens: tuple[str, str]) -> None:
    mouse, keyboard = action_rows([TABLE[tokens]])
    expected = rows_of(*tokens, 1)
    np.testing.assert_allclose(mouse, expected[0], atol=1e-7)
    assert np.array_equal(keyboard, expected[1])
    assert possible_motion(TABLE[tokens]) == TABLE[tokens]


def test_poses_are_those_of_the_original() -> None:
    """100 latents of held keys, pitched and turned many times around; pitch must not become roll."""
    generator = np.random.default_rng(0)
    tokens = [list(TABLE)[index] for index in generator.integers(len(TABLE), size=100)]
    rows = [rows_of(*each, 4) for each in tokens]
    mouse, keyboard = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    poses, last = follow_rows(np.zeros(5), mouse, keyboard)
    expected = AXES @ camera_to_world(np.concatenate((poses[4::4], last[None])))
    # The original's world is turned into ours by the axes alone: at the origin the camera is the same.
    start = AXES @ camera_to_world(np.zeros(5))
    np.testing.assert_allclose(start, np.eye(4), atol=1e-12)
    ours = follow_motions(np.eye(4), [possible_motion(TABLE[each]) for each in tokens])
    np.testing.assert_allclose(ours, expected, atol=2e-5)
    assert np.abs(ours[:, 1, 0]).max() < 1e-9


def test_what_is_possible() -> None:
    assert possible_motion(CameraMotion(forward=0.51 * STEP)) == CameraMotion(forward=STEP)
    assert possible_motion(CameraMotion(forward=0.49 * STEP)) == CameraMotion()
    assert possible_motion(CameraMotion(right=-9.0)) == CameraMotion(right=-STEP)
    both = possible_motion(CameraMotion(forward=STEP, right=STEP))
    assert both == CameraMotion(forward=DIAGONAL, right=DIAGONAL) == possible_motion(both)
    assert possible_motion(CameraMotion(yaw=1.19, pitch=-1.19)) == CameraMotion()
    assert possible_motion(CameraMotion(yaw=1.2, pitch=-1.2)) == CameraMotion(yaw=1.2, pitch=-1.2)
    assert possible_motion(CameraMotion(yaw=90, pitch=-90)) == CameraMotion(yaw=TURN, pitch=-TURN)


def test_turning_changes_the_heading_of_every_frame() -> None:
    """Four frames of "w" and "l": headings 0.75, 2.25, 3.75 and 5.25 degrees."""
    pose = follow_motions(np.eye(4), [CameraMotion(yaw=TURN, forward=STEP)])[0]
    angles = np.radians([0.75, 2.25, 3.75, 5.25])
    np.testing.assert_allclose(pose[:3, 3], [0.1235 * np.sin(angles).sum(), 0, 0.1235 * np.cos(angles).sum()])


def test_out_and_back_ends_where_it_began() -> None:
    for motion in TABLE.values():
        back = CameraMotion(-motion.yaw, -motion.pitch, -motion.right, -motion.forward)
        there = follow_motions(np.eye(4), [motion] * 50)
        again = follow_motions(there[-1], [back] * 50)
        np.testing.assert_allclose(again[-1], np.eye(4), atol=1e-10)


@pytest.mark.parametrize(
    ("name", "action", "tokens"),
    [
        ("keyboard_mouse", [1, 0, 0, 0, 0, 0], ("u", "w")),
        ("keyboard_mouse", [1, 0, 0, 0, 1, 0], ("l", "w")),
        ("keyboard_mouse", [0, 0, 0, 1, 0, -1], ("i", "d")),
        ("keyboard_mouse", [1, 1, 0, 0, 0, 1], ("k", "q")),
        ("continuous", [1, 0, 0, 0], ("u", "w")),
        ("continuous", [0, -1, 0, 0], ("u", "a")),
        ("continuous", [0, 0, -1, 0], ("j", "q")),
        ("continuous", [0, 0, 0, 1], ("k", "q")),
        ("discrete", 2, ("u", "s")),
        ("discrete", 6, ("l", "q")),
        ("discrete", 9, ("k", "q")),
        ("discrete", 8, ("l", "w")),
    ],
)
def test_all_action_spaces_reach_the_same_rows(name: str, action: object, tokens: tuple[str, str]) -> None:
    motion = ActionMapper(name, MOTION).to_motion(action if isinstance(action, int) else np.array(action, np.float32))
    mouse, keyboard = action_rows([possible_motion(motion)])
    expected = rows_of(*tokens, 1)
    np.testing.assert_allclose(mouse, expected[0], atol=1e-7)
    assert np.array_equal(keyboard, expected[1])


@pytest.mark.parametrize(
    "action", [[0, 0, 0, 0, 1.5, 0], [2, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, np.nan], [0, 0, 0, -1, 0, 0]]
)
def test_keys_and_mouse_outside_their_range_are_refused(action: list[float]) -> None:
    with pytest.raises(ValueError, match="outside the keyboard_mouse space; allowed: 6 numbers from") as caught:
        ActionMapper("keyboard_mouse", MOTION).to_motion(np.array(action, np.float32))
    assert "\n" not in str(caught.value)
