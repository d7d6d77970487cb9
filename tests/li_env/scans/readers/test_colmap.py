from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from li_env.recording import write_png
from li_env.scans.scan import Scan
from tests.li_env.scans.room import noise, room_scan

HALF = np.sqrt(0.5)
IMAGES = f"""\
# Image list with two lines of data per image:
#   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME
7 1 0 0 0 -1 -2 -3 1 left one.png
1.5 2.5 -1 3.5 4.5 12
3 {HALF} 0 {HALF} 0 1 2 3 1 b.png

"""
# The first camera stands at (1, 2, 3) in the world's axes. The second one's transform turns a quarter about y: the
# world's z becomes the camera's x, so that the camera looks along the world's -x; its place is -R^T t = (3, -2, -1).
POSES = [
    [[1, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]],
    [[0, 0, -1, 3], [0, 1, 0, -2], [1, 0, 0, -1], [0, 0, 0, 1]],
]


def model(folder: Path, cameras: str = "1 PINHOLE 8 6 5 6 4 3", images: str = IMAGES, below: str = "sparse/0") -> Path:
    (folder / below).mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    (folder / below / "cameras.txt").write_text(f"# Camera list\n{cameras}\n")
    (folder / below / "images.txt").write_text(images)
    for name, image in zip(("left one.png", "b.png"), noise(2), strict=True):
        write_png(folder / "images" / name, image)
    return folder


@pytest.mark.parametrize("below", ["sparse/0", "sparse", "colmap/sparse/0", "", "text"])
def test_cameras_by_hand(tmp_path, below):
    scan = Scan.read(model(tmp_path, below=below))
    np.testing.assert_allclose(scan.poses, POSES, atol=1e-12)
    np.testing.assert_array_equal(scan.images, noise(2))
    np.testing.assert_array_equal(scan.intrinsics, [5, 6, 4, 3])


def test_a_model_given_by_its_own_folder_finds_the_pictures(tmp_path):
    np.testing.assert_array_equal(Scan.read(model(tmp_path) / "sparse" / "0").images, noise(2))


def test_images_without_lines_of_points(tmp_path):
    lines = [line for line in IMAGES.splitlines() if "png" in line]
    np.testing.assert_allclose(Scan.read(model(tmp_path, images="\n".join(lines))).poses, POSES, atol=1e-12)


def test_a_line_of_points_that_looks_like_numbers_only(tmp_path):
    text = IMAGES.replace("1.5 2.5 -1 3.5 4.5 12", "1 2 3 4 5 6 7 8 9 10 11 12")
    np.testing.assert_allclose(Scan.read(model(tmp_path, images=text)).poses, POSES, atol=1e-12)


@pytest.mark.parametrize(
    ("camera", "lens"),
    [
        ("SIMPLE_PINHOLE 8 6 5 4 3", [5, 5, 4, 3]),
        ("SIMPLE_RADIAL 8 6 5 4 3 0", [5, 5, 4, 3]),
        ("RADIAL 8 6 5 4 3 0 0", [5, 5, 4, 3]),
        ("OPENCV 8 6 5 6 4 3 0 0 0 0", [5, 6, 4, 3]),
        ("PINHOLE 16 12 10 12 8 6", [5, 6, 4, 3]),  # the pictures were made smaller
    ],
)
def test_lenses(tmp_path, camera, lens):
    np.testing.assert_array_equal(Scan.read(model(tmp_path, f"1 {camera}")).intrinsics, lens)


def test_one_lens_per_camera(tmp_path):
    text = IMAGES.replace("1 2 3 1 b.png", "1 2 3 4 b.png")
    scan = Scan.read(model(tmp_path, "1 PINHOLE 8 6 5 6 4 3\n4 SIMPLE_PINHOLE 8 6 9 4 3", text))
    np.testing.assert_array_equal(scan.intrinsics, [[5, 6, 4, 3], [9, 9, 4, 3]])


@pytest.mark.parametrize("camera", ["SIMPLE_RADIAL 64 48 32 32 24 0.1", "RADIAL 64 48 32 32 24 0.1 0",
                                    "OPENCV 64 48 32 32 32 24 0.1 0 0 0"])  # fmt: skip
def test_distorted_pictures_are_straightened_alike(tmp_path, camera):
    room = room_scan(1, 2)
    folder = model(tmp_path, f"1 {camera}")
    for name, image in zip(("left one.png", "b.png"), room.images, strict=True):
        write_png(folder / "images" / name, image)
    scan = Scan.read(folder)
    assert scan.intrinsics[0] > 33 and not np.array_equal(scan.images, room.images)
    middle = scan.images[:, 22:26, 30:34].astype(int) - room.images[:, 22:26, 30:34]
    assert np.abs(middle).mean() < 60, "the middle stays where it was"


def test_worlds_are_turned_upright(tmp_path):
    # COLMAP's world after an alignment with z up: the camera's y axis points along the world's -z.
    text = f"1 {HALF} {HALF} 0 0 0 0 0 1 b.png\n\n"
    scan = Scan.read(model(tmp_path, images=text))
    np.testing.assert_allclose(scan.poses[0], np.eye(4), atol=1e-12)
    kept = Scan.read(tmp_path, upright=False)
    np.testing.assert_allclose(kept.poses[0, :3, 1], [0, 0, -1], atol=1e-12)


@pytest.mark.parametrize(
    ("cameras", "images", "message"),
    [
        ("1 FISHEYE 8 6 5 4 3 0", IMAGES, "cameras.txt:2: lens 'FISHEYE' is not supported; allowed: SIMPLE_PINHOLE"),
        ("1 PINHOLE 8 6 5 6 4", IMAGES, "cameras.txt:2: PINHOLE needs a size and 4 finite numbers"),
        ("1 PINHOLE 8 6 5 nan 4 3", IMAGES, "PINHOLE needs a size and 4 finite numbers"),
        ("1 PINHOLE 0 6 5 5 4 3", IMAGES, "PINHOLE needs a size"),
        ("1 PINHOLE 8 6 0 5 4 3", IMAGES, "a focal length of 0 is not allowed"),
        ("1 PINHOLE", IMAGES, "cameras.txt:2: no camera; allowed: ID MODEL WIDTH HEIGHT PARAMETERS"),
        ("", IMAGES, "cameras.txt holds no camera"),
        ("2 PINHOLE 8 6 5 6 4 3", IMAGES, "'left one.png' has camera 1, cameras.txt has none of that number"),
        (None, "# nothing\n", "images.txt: 0 views; allowed: 1 to 4,096"),
        (None, "3 1 0 0 0 1 2 3 1\n", "images.txt:1: no image; allowed: ID QW QX QY QZ TX TY TZ CAMERA NAME"),
        (None, "a 1 0 0 0 1 2 3 1 b.png\n", "images.txt:1: no image"),
        (None, "3 2 0 0 0 1 2 3 1 b.png\n", "images.txt:1: no unit quaternion and finite position"),
        (None, "3 1 0 0 0 1 2 inf 1 b.png\n", "images.txt:1: no unit quaternion and finite position"),
        (None, "3 1 0 0 0 1 2 3 1 c.png\n", "images.txt: picture 'c.png' is not there; looked in images/"),
        (None, IMAGES + "4 1 0 0 0 1 2 3 1 c.png\n", "images.txt: picture 'c.png' is not there; allowed: one file"),
    ],
)
def test_damaged_models_are_one_line(tmp_path, cameras, images, message):
    with pytest.raises(ValueError) as caught:
        Scan.read(model(tmp_path, "1 PINHOLE 8 6 5 6 4 3" if cameras is None else cameras, images))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_binary_model_names_the_converter(tmp_path):
    (tmp_path / "sparse" / "0").mkdir(parents=True)
    (tmp_path / "sparse" / "0" / "images.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="colmap model_converter --output_type TXT"):
        Scan.read(tmp_path)
