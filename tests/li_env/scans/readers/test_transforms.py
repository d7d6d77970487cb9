from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from li_env.images import read_image
from li_env.recording import write_png
from li_env.scans.scan import Scan
from tests.li_env.scans.room import FLIP, LENS, level, noise, room_poses, room_scan, write_transforms

# A camera at (1, 2, 3) of a world whose z points up, as Nerfstudio's, looking along that world's y: its axes are
# x = (1, 0, 0), up = (0, 0, 1), backward = (0, -1, 0).
Z_UP = [[1, 0, 0, 1], [0, 0, -1, 2], [0, 1, 0, 3], [0, 0, 0, 1]]
# Upright it looks along z (the old y), 3 above the ground (y = -3), 2 along z.
Y_DOWN = [[1, 0, 0, 1], [0, 1, 0, -3], [0, 0, 1, 2], [0, 0, 0, 1]]


def test_a_camera_by_hand(tmp_path):
    scan = Scan.read(write_transforms(tmp_path, [Z_UP], fl_x=5, fl_y=6, cx=4, cy=3, w=8, h=6))
    np.testing.assert_array_equal(scan.poses, [Y_DOWN])
    np.testing.assert_array_equal(scan.intrinsics, [5, 6, 4, 3])
    np.testing.assert_array_equal(scan.images, noise(1))
    assert scan.tilts[0] == 0


def test_the_world_may_keep_its_axes(tmp_path):
    scan = Scan.read(write_transforms(tmp_path, [Z_UP]), upright=False)
    np.testing.assert_array_equal(scan.poses[0], np.array(Z_UP) @ FLIP)
    assert scan.intrinsics is None


def test_an_upright_world_is_left_alone(tmp_path):
    poses = room_poses()
    scan = Scan.read(write_transforms(tmp_path, poses @ FLIP))
    np.testing.assert_array_equal(scan.poses, poses)


def test_axes_and_scale(tmp_path):
    poses = room_poses()
    scan = Scan.read(write_transforms(tmp_path, poses), axes="opencv", scale=2.0)
    np.testing.assert_array_equal(scan.poses[:, :3, :3], poses[:, :3, :3])
    np.testing.assert_array_equal(scan.poses[:, :3, 3], 2 * poses[:, :3, 3])


def test_what_was_applied_after_the_capture_is_undone(tmp_path):
    poses = room_poses()
    applied = np.array(
        [[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 2]]
    )  # Nerfstudio's turn of COLMAP's world, and a shift
    changed = np.concatenate([applied, [[0, 0, 0, 1]]]) @ poses @ FLIP
    changed[:, :3, 3] *= 0.5
    read = Scan.read(write_transforms(tmp_path, changed, applied_transform=applied.tolist(), applied_scale=0.5))
    np.testing.assert_allclose(read.poses, poses, atol=1e-12)


def test_the_cube_of_instant_ngp_does_not_concern_the_poses(tmp_path):
    folder = write_transforms(tmp_path, [Z_UP], camera_angle_x=1.2, aabb_scale=16, scale=0.33, offset=[0.5, 0.5, 0.5])
    np.testing.assert_array_equal(Scan.read(folder).poses, [Y_DOWN])


def test_a_lens_by_its_angle(tmp_path):
    scan = Scan.read(write_transforms(tmp_path, [Z_UP], camera_angle_x=np.pi / 2))
    np.testing.assert_allclose(scan.intrinsics, [4, 4, 4, 3])  # half of 8 pixels / tan 45 degrees
    other = Scan.read(write_transforms(tmp_path, [Z_UP], camera_angle_x=np.pi / 2, camera_angle_y=np.pi / 2))
    np.testing.assert_allclose(other.intrinsics, [4, 3, 4, 3])


def test_a_lens_per_frame(tmp_path):
    lenses = [{"fl_x": 5.0, "cx": 4.5}, {"fl_x": 7.0, "fl_y": 8.0}]
    scan = Scan.read(write_transforms(tmp_path, [Z_UP, Z_UP], frames=lenses, w=8, h=6, cy=2.5))
    np.testing.assert_array_equal(scan.intrinsics, [[5, 5, 4.5, 2.5], [7, 8, 4, 2.5]])


def test_smaller_pictures_have_a_smaller_lens(tmp_path):
    scan = Scan.read(write_transforms(tmp_path, [Z_UP], fl_x=50, fl_y=60, cx=40, cy=30, w=80, h=60))
    np.testing.assert_allclose(scan.intrinsics, [5, 6, 4, 3])


def test_distorted_pictures_are_straightened(tmp_path):
    room = room_scan(1, 2)
    lens = dict(zip(("fl_x", "fl_y", "cx", "cy"), LENS.tolist(), strict=True))
    plain = Scan.read(write_transforms(tmp_path / "plain", room.poses @ FLIP, room.images, **lens, k1=0.0))
    bent = Scan.read(write_transforms(tmp_path / "bent", room.poses @ FLIP, room.images, **lens, k1=0.1, k2=0.01))
    np.testing.assert_array_equal(plain.images, room.images)
    assert (bent.intrinsics[:2] > LENS[:2]).all(), "pincushion distortion: the corners are cut off"
    assert np.abs(bent.images.astype(int) - room.images).mean() > 5


def test_file_names(tmp_path):
    folder = write_transforms(tmp_path, [Z_UP, Z_UP])
    data = json.loads((folder / "transforms.json").read_text())
    data["frames"][0]["file_path"] = "./images/0"  # as Blender's files name them
    data["frames"][1]["file_path"] = "images\\1.png"
    (folder / "transforms_train.json").write_text(json.dumps(data))
    np.testing.assert_array_equal(Scan.read(folder / "transforms_train.json").images, noise(2))


def test_a_picture_is_taken_as_the_sensor_saw_it(tmp_path):
    folder = write_transforms(tmp_path, [Z_UP], fl_x=5, fl_y=6, cx=4, cy=3, w=8, h=6)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    Image.fromarray(noise(1)[0]).save(folder / "images" / "0.png", exif=exif)
    assert read_image(folder / "images" / "0.png").shape == (8, 6, 3)
    np.testing.assert_array_equal(Scan.read(folder).images, noise(1))


def test_an_unreadable_picture_is_named_in_a_deep_folder(tmp_path):
    folder = write_transforms(tmp_path / ("deep" * 30), [Z_UP])
    (folder / "images" / "0.png").write_bytes((folder / "images" / "0.png").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"^picture '0\.png': image=.* cannot be decoded"):
        Scan.read(folder)


def test_every_second_frame(tmp_path):
    poses = room_poses(2)
    scan = Scan.read(write_transforms(tmp_path, poses @ FLIP), every=3)
    np.testing.assert_array_equal(scan.poses, poses[::3])
    np.testing.assert_array_equal(scan.images, noise(16)[::3])


MANY = [{"file_path": "images/0.png", "transform_matrix": Z_UP}] * 5000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": []}, "transforms.json: 'frames' holds no frames"),
        ({"frames": None}, "'frames' holds no frames"),
        ({"frames": [3]}, "frame 0=3 is not allowed; use a mapping"),
        ({"frames": MANY}, "5,000 views; allowed: 1 to 4,096; use every=2 or more"),
        ({"frames": [{"file_path": "images/0.png"}]}, "frame 0: 'transform_matrix' is no 4 x 4 matrix"),
        ({"frames": [{**MANY[0], "transform_matrix": [[1, "a"]]}]}, "'transform_matrix' is no 4 x 4 matrix"),
        ({"frames": [{**MANY[0], "transform_matrix": [1, [2]]}]}, "'transform_matrix' is no 4 x 4 matrix"),
        ({"frames": [{**MANY[0], "file_path": "images/9.png"}]}, "frame 0: picture 'images/9.png' is not there"),
        ({"frames": [{**MANY[0], "file_path": None}]}, "frame 0 file_path=None"),
        ({"frames": [{**MANY[0], "file_path": "broken.png"}]}, "broken.png' cannot be decoded; allowed: a PNG"),
        ({"frames": [MANY[0], {**MANY[0], "file_path": "large.png"}]},
         "image='large.png' is 12 x 8, the first one 6 x 8; allowed: pictures of one size"),
        ({"frames": [{**MANY[0], "fl_x": 5}, MANY[0]]}, "frame 1: 'fl_x' is missing; other frames have it"),
        ({"camera_model": "OPENCV_FISHEYE"}, "camera_model='OPENCV_FISHEYE' is unknown"),
        ({"fl_x": 0}, "fl_x=0 is not allowed"), ({"fl_x": "5"}, "fl_x='5' is not allowed"),
        ({"fl_x": 5, "w": 80, "h": 40}, "image='0.png' is 6 x 8, its camera 40 x 80; allowed: the same size"),
        ({"camera_angle_x": 3.2}, "use an angle below pi"), ({"camera_angle_x": -1}, "camera_angle_x=-1 is not"),
        ({"fl_x": 5, "k4": 0.1}, "k4=0.1 is not supported"), ({"fl_x": 5, "k1": -30}, "leaves nothing of a picture"),
        ({"applied_transform": [[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]}, "'applied_transform' is no rotation"),
        ({"applied_scale": 0}, "applied_scale=0 is not allowed"),
        ({"li_env": 3}, "li_env=3 is not allowed; use a mapping"), ({"li_env": {"map_seed": -1}}, "map_seed=-1"),
    ],
)  # fmt: skip
def test_damaged_files_are_one_line(tmp_path, changes, message):
    folder = write_transforms(tmp_path, [Z_UP])
    (folder / "broken.png").write_bytes(b"no picture")
    write_png(folder / "large.png", noise(1, 12)[0])
    data = json.loads((folder / "transforms.json").read_text())
    (folder / "transforms.json").write_text(json.dumps({**data, **changes}))
    with pytest.raises(ValueError) as caught:
        Scan.read(folder)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"frames": [[]]}', "\0", "[" * 100_000])
def test_text_that_is_no_json(tmp_path, text):
    Path(tmp_path, "transforms.json").write_text(text)
    with pytest.raises(ValueError, match=r"transforms\.json"):
        Scan.read(tmp_path)


def test_poses_with_a_scale_are_refused(tmp_path):
    with pytest.raises(ValueError, match="pose 0 carries a scale of 3"):
        Scan.read(write_transforms(tmp_path, [np.diag([3.0, 3, 3, 1]) @ level(0, 0, 0)]))
