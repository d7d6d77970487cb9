from __future__ import annotations

import cv2
import numpy as np
import pytest

from li_env.images import fit_image, read_image


def test_the_right_size_is_copied_unchanged():
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    fitted = fit_image(image, (96, 128))
    np.testing.assert_array_equal(fitted, image)
    assert not np.shares_memory(fitted, image)


def test_covering_keeps_proportions_and_crops_the_middle():
    image = np.zeros((192, 512, 3), np.uint8)
    image[:, 128:384] = 200  # the middle half: exactly the frame after scaling by 1/2
    np.testing.assert_array_equal(fit_image(image, (96, 128)), np.full((96, 128, 3), 200, np.uint8))
    tall = np.zeros((512, 128, 3), np.uint8)
    tall[208:304] = 90
    np.testing.assert_array_equal(fit_image(tall, (96, 128)), np.full((96, 128, 3), 90, np.uint8))


def test_shrinking_averages():
    checkerboard = np.indices((192, 256)).sum(0) % 2 * 255
    image = np.repeat(checkerboard[..., None].astype(np.uint8), 3, axis=-1)
    assert np.abs(fit_image(image, (96, 128)).astype(int) - 127).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (7, 1000), (1000, 7), (97, 128), (95, 127)])
def test_any_size_ends_up_right(size):
    assert fit_image(np.zeros((*size, 3), np.uint8), (96, 128)).shape == (96, 128, 3)


def test_files_are_read_as_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "red.png"), np.full((4, 5, 3), (0, 0, 255), np.uint8))
    np.testing.assert_array_equal(read_image(tmp_path / "red.png"), np.full((4, 5, 3), (255, 0, 0), np.uint8))


@pytest.mark.parametrize("content", [None, b"", b"not an image"])
def test_files_that_are_no_image(tmp_path, content):
    path = tmp_path / "image.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"image '.*image.png' (does not exist|cannot be decoded); allowed: a PNG"):
        read_image(path)
