from __future__ import annotations

import resource
import struct
import zlib

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


def bomb(width: int, height: int) -> bytes:
    """Make a PNG of a few bytes whose header claims a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is not a file; allowed: a PNG, JPEG or WebP file"),
        (b"", "cannot be decoded; allowed: a PNG"),
        (b"not an image", "cannot be decoded"),
        (bomb(60_000, 60_000), "has too many pixels; allowed: at most 67,108,864"),
        (bomb(9_000, 9_000), "has 9000 x 9000 pixels; allowed: at most 67,108,864"),
        (bomb(0, 0), "cannot be decoded"),
        (bomb(2**31 - 1, 1), "pixels; allowed: at most"),
        (b"GIF89a" + bytes(40), "cannot be decoded"),
        (b"II*\0" + b"\xff" * 40, "cannot be decoded"),
    ],
    ids=range(9),
)
def test_files_that_are_no_image(tmp_path, content, message):
    path = tmp_path / "image.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="^image=") as caught:
        read_image(path)
    assert message in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize("shape", [(20_000, 1), (1, 60_000), (3, 50_000), (200_000, 1), (1, 1), (2, 700), (5_000, 40)])
def test_an_image_of_any_shape_keeps_its_middle(shape):
    rng = np.random.default_rng(0)
    image = np.repeat(rng.integers(0, 256, (*shape, 1), dtype=np.uint8), 3, axis=2)
    fitted = fit_image(image, (48, 80))
    assert fitted.shape == (48, 80, 3)
    # the rule itself, where it needs little memory: scale the whole image, then crop
    scale = max(48 / shape[0], 80 / shape[1])
    covering = (max(80, round(shape[1] * scale)), max(48, round(shape[0] * scale)))
    if covering[0] * covering[1] < 20_000_000:
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        whole = cv2.resize(image, covering, interpolation=method)
        top, left = (covering[1] - 48) // 2, (covering[0] - 80) // 2
        expected = whole[top : top + 48, left : left + 80]
        assert np.abs(fitted.astype(int) - expected).mean() < 8


def test_a_long_image_does_not_need_memory_for_what_is_cut_off():
    image = np.zeros((200_000, 1, 3), np.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fit_image(image, (480, 832))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
