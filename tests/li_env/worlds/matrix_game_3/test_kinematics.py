"""Poses from actions against the original, and what is mended by default."""

from __future__ import annotations

import numpy as np
import pytest

from li_env.worlds.matrix_game_3.kinematics import camera_to_world, follow_rows
from tests.li_env.worlds.matrix_game_3.stored import stored

CASES = sorted({key.split(".")[1] for key in stored()[1] if key.startswith("kin.")})


def case(name: str) -> dict[str, np.ndarray]:
    prefix = f"kin.{name}."
    return {key.removeprefix(prefix): value.numpy() for key, value in stored()[1].items() if key.startswith(prefix)}


@pytest.mark.parametrize("name", CASES)
def test_stored_poses(name: str) -> None:
    expected = case(name)
    poses, last = follow_rows(expected["first_pose"], expected["mouse"], expected["keyboard"], original=True)
    assert np.array_equal(poses, expected["poses"].astype(np.float64))
    assert np.array_equal(last, expected["last_pose"])
    np.testing.assert_allclose(camera_to_world(expected["poses"]), expected["extrinsics"], atol=1e-9, rtol=0)


def test_the_step_across_180_degrees_goes_ahead() -> None:
    """Mend a step of the original, which averages 180 and -178.5 degrees to 0.75 and walks backwards for one frame."""
    first = np.array([0.0, 0.0, 0.0, 0.0, 179.5])
    mouse, keyboard = np.array([[0.0, 0.1]], np.float32), np.zeros((1, 6), np.float32)
    keyboard[0, 0] = 1
    for original, ahead in ((True, 1), (False, -1)):  # ahead is towards -x here
        _, last = follow_rows(first, mouse, keyboard, original)
        assert np.sign(last[0]) == ahead
        assert last[4] == pytest.approx(-179.0, abs=1e-6)


def test_numbers_of_the_published_keys() -> None:
    """40 frames of "w" are 4.94 m, 40 frames of "l" 60 degrees; two keys at once are slower per axis."""
    still, turn = np.zeros((40, 2), np.float32), np.tile(np.array([0, 0.1], np.float32), (40, 1))
    keys = np.zeros((40, 6), np.float32)
    _, turned = follow_rows(np.zeros(5), turn, keys)
    assert turned[4] == pytest.approx(60, abs=1e-5) and not turned[:4].any()
    keys[:, 0] = 1
    _, walked = follow_rows(np.zeros(5), still, keys)
    assert walked.tolist() == pytest.approx([494, 0, 0, 0, 0])
    keys[:, 3] = 1
    _, crossed = follow_rows(np.zeros(5), still, keys)
    assert crossed.tolist() == pytest.approx([40 * 8.73, 40 * 8.73, 0, 0, 0])
    keys[:, 1] = 1
    _, sideways = follow_rows(np.zeros(5), still, keys)
    assert sideways.tolist() == pytest.approx([0, 494, 0, 0, 0])


def test_small_mouse_values_turn_nothing() -> None:
    mouse = np.array([[0.019, -0.019], [0.02, -0.02]], np.float32)
    poses, last = follow_rows(np.zeros(5), mouse, np.zeros((2, 6), np.float32))
    assert not poses[1].any()
    assert last[3:].tolist() == pytest.approx([0.3, -0.3])
