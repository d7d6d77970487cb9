from __future__ import annotations

import cv2
import numpy as np
import pytest

from li_env.accel.world_spec import WorldSpec
from li_env.scans.lens import undistorted
from li_env.scans.scan import Scan
from li_env.worlds.freedoom.spec import SPEC as FREEDOOM
from tests.li_env.scans.room import LENS, level, noise, room_scan

SPEC: WorldSpec = FREEDOOM


def ramp(height: int, width: int, lens: np.ndarray) -> np.ndarray:
    """Return a picture whose first two colours are the slopes of the pixels' rays, -2 to 2 as 7 to 247."""
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.round(127 + 60 * (columns - lens[2]) / lens[0])
    image[..., 1] = np.round(127 + 60 * (rows - lens[3]) / lens[1])
    return image


def slopes_wanted(height: int, width: int, focal: tuple[float, float]) -> np.ndarray:
    lens = np.array([focal[0] * width, focal[1] * height, width / 2, height / 2])
    return ramp(height, width, lens)[..., :2].astype(int)


@pytest.mark.parametrize(
    ("size", "lens"),
    [
        ((192, 256), (128.0, 153.6, 128.0, 96.0)),  # twice as large
        ((480, 640), (300.0, 300.0, 320.0, 240.0)),  # square pixels, wider than the world
        ((480, 640), (310.0, 310.0, 330.0, 250.0)),  # another centre
        ((60, 80), (30.0, 31.0, 41.0, 29.5)),  # smaller
    ],
)
def test_a_fitted_view_shows_the_rays_of_the_world(size, lens):
    scan = Scan(ramp(*size, np.array(lens))[None], np.eye(4)[None], np.array(lens))
    fitted = scan.fitted(SPEC.frame_size, SPEC.focal)
    assert fitted.images.shape == (1, 96, 128, 3)
    np.testing.assert_allclose(fitted.intrinsics, [64, 76.8, 64, 48])
    off = np.abs(fitted.images[0, ..., :2].astype(int) - slopes_wanted(96, 128, SPEC.focal))
    rim = 12  # where the view ends, its last pixels are repeated
    assert off[rim:-rim, rim:-rim].max() <= 1


def test_every_view_is_fitted_by_its_own_lens():
    lenses = np.array([[128, 153.6, 128, 96], [120, 140, 120, 90.0]])
    images = np.stack([ramp(192, 256, lens) for lens in lenses])
    fitted = Scan(images, np.stack([np.eye(4)] * 2), lenses).fitted(SPEC.frame_size, SPEC.focal)
    one, two = fitted.images[:, 12:-12, 12:-12, :2].astype(int)
    assert np.abs(one - two).max() <= 1
    assert fitted.intrinsics.shape == (4,)


def test_a_scan_that_fits_is_returned_itself():
    scan = Scan(noise(2, 96, 128), np.stack([level(0, 0, 0), level(1, 0, 0)]), np.array([64, 76.8, 64, 48]))
    assert scan.fitted(SPEC.frame_size, SPEC.focal) is scan
    bare = Scan(scan.images, scan.poses)
    assert bare.fitted(SPEC.frame_size, SPEC.focal) is bare


def test_without_intrinsics_only_the_size_changes():
    image = np.repeat(np.repeat(noise(1, 96, 128), 2, 1), 2, 2)
    fitted = Scan(image, np.eye(4)[None], None, 7).fitted(SPEC.frame_size, SPEC.focal)
    np.testing.assert_array_equal(fitted.images, noise(1, 96, 128))
    assert fitted.intrinsics is None and fitted.map_seed == 7


def test_exact_halves_are_averages():
    image = noise(1, 192, 256)
    fitted = Scan(image, np.eye(4)[None], np.array([128, 153.6, 128, 96])).fitted(SPEC.frame_size, SPEC.focal)
    means = image.reshape(1, 96, 2, 128, 2, 3).mean((2, 4))
    assert np.abs(fitted.images - means).max() <= 0.5


@pytest.mark.parametrize(
    ("size", "lens", "message"),
    [
        ((480, 640), (500, 500, 320, 240), "along the width its views show 65 degrees, 64% of the world's 90"),
        ((200, 640), (300, 300, 320, 100), "along the height its views show 37 degrees, 53% of the world's 64"),
        ((480, 640), (300, 300, 900, 240), "along the width"),
        ((96, 96), None, "its images are 96 x 96 and have no intrinsics, the world's frames 96 x 128"),
    ],
)
def test_a_scan_of_another_frame_shape_is_refused(size, lens, message):
    scan = Scan(np.zeros((1, *size, 3), np.uint8), np.eye(4)[None], lens and np.array(lens, float))
    with pytest.raises(ValueError, match="^scan of another frame shape than the world can use") as caught:
        scan.fitted(SPEC.frame_size, SPEC.focal)
    assert message in str(caught.value)


def test_undistorting_straightens():
    lens = np.array([300.0, 310.0, 322.0, 238.0])
    bends = (-0.25, 0.06, 0.002, -0.001, 0.0)
    columns, rows = np.meshgrid(np.arange(640) + 0.5, np.arange(480) + 0.5)
    x, y = (columns - lens[2]) / lens[0], (rows - lens[3]) / lens[1]
    matrix = np.array([[lens[0], 0, lens[2]], [0, lens[1], lens[3]], [0, 0, 1]])
    # The slope of the ray that each pixel of the bent picture shows.
    points = np.stack([columns.ravel(), rows.ravel()], -1)[:, None]
    rays = cv2.undistortPoints(points, matrix, np.array(bends), criteria=(3, 50, 1e-9)).reshape(480, 640, 2)
    image = np.zeros((480, 640, 3), np.uint8)
    image[..., :2] = np.round(np.clip(127 + 60 * rays, 0, 255))
    assert np.abs(rays - np.stack([x, y], -1)).max() > 0.1, "the lens bends"
    straight, found = undistorted(image, lens, bends)
    off = np.abs(straight.astype(int) - ramp(480, 640, found).astype(int))[4:-4, 4:-4]
    assert off.max() <= 2
    assert straight.shape == image.shape and (straight[..., :2] > 0).all(), "no black corners"


def test_no_distortion_changes_nothing():
    image, lens = noise(1)[0], np.array([4.0, 4, 4, 3])
    found = undistorted(image, lens, (0.0,) * 5)
    assert found[0] is image and found[1] is lens


def test_a_distortion_that_leaves_nothing_is_refused():
    with pytest.raises(ValueError, match="distortion k1=-30"):
        undistorted(np.zeros((48, 64, 3), np.uint8), LENS, (-30.0, 0.0, 0.0, 0.0, 0.0))


def test_a_fitted_room_is_the_room_seen_by_another_lens():
    scan = room_scan(1, 4)
    small = scan.fitted((24, 32), (0.5, 32 / 48))
    expected = scan.images.reshape(4, 24, 2, 32, 2, 3).mean((2, 4))
    assert np.abs(small.images - expected).max() <= 0.5
