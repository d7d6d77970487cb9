"""Observed frames of another size or in grey."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from gymnasium import spaces

from li_env.observations import FrameFormat

WORLD = (96, 128)
FRAMES = np.random.default_rng(0).integers(0, 256, (2, 3, *WORLD, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(48, 64), (84, 84), (1, 1), (95, 127), (7, 128), (96, 30)])
def test_smaller_frames_are_those_of_opencv(size):
    made = FrameFormat(WORLD, size).of(FRAMES)
    assert made.shape == (2, 3, *size, 3) and made.dtype == np.uint8
    for one, frame in zip(made.reshape(-1, *size, 3), FRAMES.reshape(-1, *WORLD, 3), strict=True):
        expected = cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(one.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("size", [(192, 256), (100, 200), (97, 129)])
def test_so_are_larger_ones(size):
    made = FrameFormat(WORLD, size).of(FRAMES[0, 0])
    expected = cv2.resize(FRAMES[0, 0], size[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(made.astype(int) - expected).max() <= 1


def test_one_axis_may_grow_while_the_other_shrinks():
    made = FrameFormat(WORLD, (32, 256)).of(FRAMES[0, 0])
    blocks = FRAMES[0, 0].astype(float).reshape(32, 3, 128, 3).mean(1).repeat(2, axis=1)
    assert np.abs(made - blocks).max() <= 0.5 + 1e-4


def test_a_flat_picture_stays_flat():
    for level in (0, 1, 127, 254, 255):
        for grey in (False, True):
            made = FrameFormat(WORLD, (53, 71), grey).of(np.full((*WORLD, 3), level, np.uint8))
            assert (made == level).all()


@pytest.mark.parametrize("size", [None, (84, 84)])
def test_grey_is_that_of_opencv(size):
    made = FrameFormat(WORLD, size, grayscale=True).of(FRAMES[0])
    assert made.shape == (3, *(size or WORLD), 1)
    coloured = FrameFormat(WORLD, size).of(FRAMES[0])
    for one, frame in zip(made, coloured, strict=True):
        assert np.abs(one[..., 0].astype(int) - cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)).max() <= 1


@pytest.mark.parametrize("grey", [False, True])
def test_tensors_get_the_same_bits_as_arrays(grey):
    form = FrameFormat(WORLD, (50, 60), grey)
    tensor = form.of(torch.from_numpy(FRAMES))
    assert isinstance(tensor, torch.Tensor) and tensor.dtype == torch.uint8
    np.testing.assert_array_equal(tensor.numpy(), form.of(FRAMES))


def test_what_torch_is_set_to_changes_nothing():
    form = FrameFormat(WORLD, (50, 60), True)
    expected = form.of(FRAMES)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(form.of(FRAMES), expected)
    torch.set_default_dtype(torch.float64)
    try:
        np.testing.assert_array_equal(form.of(FRAMES), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_frames_as_they_are_are_not_copied():
    for form in (FrameFormat(WORLD), FrameFormat(WORLD, WORLD), FrameFormat(WORLD, [96, 128])):
        assert form.unchanged
        assert form.of(FRAMES) is FRAMES


def test_read_only_frames_are_taken():
    frames = FRAMES[0].copy()
    frames.setflags(write=False)
    made = FrameFormat(WORLD, (48, 64)).of(frames)
    assert made.flags.writeable


def test_pictures_among_the_sensors_follow():
    form = FrameFormat(WORLD, (24, 32), True)
    own = {
        "imagegoal": spaces.Box(0, 255, (*WORLD, 3), np.uint8),
        "pointgoal": spaces.Box(-1, 1, (2,), np.float32),
        "map": spaces.Box(0, 255, (40, 40, 3), np.uint8),
    }
    assert form.sensor_space(own["imagegoal"]) == spaces.Box(0, 255, (24, 32, 1), np.uint8)
    assert form.sensor_space(own["pointgoal"]) is own["pointgoal"]
    assert form.sensor_space(own["map"]) is own["map"]
    readings = {"imagegoal": FRAMES[0, 0], "pointgoal": np.zeros(2, np.float32), "map": np.zeros((40, 40, 3), np.uint8)}
    shown = form.sensors(own, readings)
    np.testing.assert_array_equal(shown["imagegoal"], form.of(FRAMES[0, 0]))
    assert shown["pointgoal"] is readings["pointgoal"] and shown["map"] is readings["map"]


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (84, r"frame_size=84 is not allowed; use \(height, width\)"),
        ("84", "frame_size='84'"),
        ((84,), r"frame_size=\(84,\)"),
        ((84, 84, 3), r"frame_size=\(84, 84, 3\)"),
        ((0, 84), r"frame_size\[0\]=0 is not allowed; use a whole number from 1 to 4096"),
        ((84, 84.0), r"frame_size\[1\]=84.0"),
        ((84, True), r"frame_size\[1\]=True"),
        ((84, 100_000), r"frame_size\[1\]=100000"),
        ((None, 84), r"frame_size\[0\]=None"),
    ],
)
def test_other_sizes_are_refused(size, message):
    with pytest.raises(ValueError, match=message):
        FrameFormat(WORLD, size)


def test_grayscale_is_a_bool():
    with pytest.raises(ValueError, match="grayscale=1 is not allowed"):
        FrameFormat(WORLD, None, 1)
