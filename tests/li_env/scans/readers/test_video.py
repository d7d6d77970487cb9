from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from li_env.recording import read_video, write_video
from li_env.scans.scan import Scan
from tests.li_env.scans.room import FLIP, LENS, room_scan

ROOM = room_scan(2)
CSV = "frame,x,y,z,qw,qx,qy,qz\n"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    write_video(tmp_path / "walk.mp4", ROOM.images, 8)
    return tmp_path / "walk.mp4"


def shown(film: Path) -> np.ndarray:
    return read_video(film)


@pytest.mark.parametrize("name", ["walk.npz", "poses.npz", "camera.npz", "poses.json", "walk.json"])
def test_one_pose_per_frame(film, name):
    file = film.with_name(name)
    if file.suffix == ".npz":
        key = "extrinsics_c2w" if "camera" in name else "poses"
        np.savez(file, **{key: ROOM.poses, "intrinsics": LENS})
    else:
        file.write_text(json.dumps({"poses": ROOM.poses.tolist(), "intrinsics": LENS.tolist()}))
    for path in (film, film.parent):
        scan = Scan.read(path)
        np.testing.assert_array_equal(scan.poses, ROOM.poses)
        np.testing.assert_array_equal(scan.images, shown(film))
        np.testing.assert_array_equal(scan.intrinsics, LENS)


def test_named_frames_and_every(film):
    frames = [3, 0, 9, 9, 12]
    np.savez(film.with_name("poses.npz"), poses=ROOM.poses[frames], frames=frames, intrinsics=np.tile(LENS, (5, 1)))
    scan = Scan.read(film, every=2)
    np.testing.assert_array_equal(scan.images, shown(film)[[3, 9, 12]])
    np.testing.assert_array_equal(scan.poses, ROOM.poses[[3, 9, 12]])
    assert scan.intrinsics.shape == (3, 4)


def test_a_table_by_hand(film):
    half = np.sqrt(0.5)
    # A quarter turn to the right about y, the down axis: the camera's z is the world's x.
    film.with_suffix(".csv").write_text(f"{CSV}5, 1, 2, 3, 1, 0, 0, 0\n7,4,5,6,{half},0,{half},0\n")
    scan = Scan.read(film)
    turned = [[0, 0, 1, 4], [0, 1, 0, 5], [-1, 0, 0, 6], [0, 0, 0, 1]]
    moved = [[1, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]
    np.testing.assert_allclose(scan.poses, [moved, turned], atol=1e-12)
    np.testing.assert_array_equal(scan.images, shown(film)[[5, 7]])


def test_a_plain_list_of_other_cameras(film):
    film.with_name("poses.json").write_text(json.dumps((ROOM.poses @ FLIP).tolist()))
    np.testing.assert_array_equal(Scan.read(film, axes="opengl").poses, ROOM.poses)


def test_a_film_that_lies_on_its_side_is_turned(film):
    data = film.read_bytes()
    matrix = data.index(b"tkhd") + 44  # of the track: how its pictures are shown
    quarter = b"".join(number.to_bytes(4, "big", signed=True) for number in (0, 65536, 0, -65536, 0, 0, 48 << 16, 0))
    film.write_bytes(data[:matrix] + quarter + data[matrix + len(quarter) :])
    plain = film.with_name("plain.mp4")
    plain.write_bytes(data)
    turned = shown(film)
    assert turned.shape == (16, 64, 48, 3)
    np.testing.assert_array_equal(turned, np.rot90(shown(plain), 3, axes=(1, 2)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (None, None, "has no poses; looked for walk, poses or camera with .npz, .json or .csv"),
        ("poses.json", {"poses": ROOM.poses[:9].tolist()}, "has more frames than the 9 poses; name the frames"),
        ("poses.json", {"poses": ROOM.poses.tolist() * 2}, "has 16 frames, poses name frame 31; allowed: 0 to 15"),
        ("poses.json", {"poses": ROOM.poses.tolist(), "frames": [1]}, "1 frames, 16 poses; one each is needed"),
        ("poses.json", {"poses": ROOM.poses[:1].tolist(), "frames": [-1]}, "frame -1; allowed: 0 to"),
        ("poses.json", {"poses": ROOM.poses[:1].tolist(), "frames": [0.5]}, "'frames' is not usable"),
        ("poses.json", {"poses": ROOM.poses.tolist(), "intrinsics": [[1] * 4]}, "1 intrinsics, 16 poses"),
        ("poses.json", {"poses": [[1, 2], [3]]}, "'poses' holds something else than numbers of one shape"),
        ("poses.json", {"poses": [1]}, "'poses' has shape [1]; allowed: [n, 4, 4]"),
        ("poses.json", {"posse": []}, "'poses' is missing"),
        ("poses.json", {"poses": []}, "'poses' has shape [0]"),
        ("poses.json", 3, "poses.json=3 is not allowed"),
        ("poses.csv", "x,y,z\n", "column 'qw' is missing; allowed: x, y, z, qw, qx, qy, qz, frame"),
        ("poses.csv", "", "column 'x' is missing"),
        ("poses.csv", CSV, "poses.csv: 0 views"),
        ("poses.csv", f"{CSV}1,2,3\n", "poses.csv:2: not a line of finite numbers"),
        ("poses.csv", f"{CSV}0,nan,2,3,1,0,0,0\n", "poses.csv:2: not a line of finite numbers"),
        ("poses.csv", f"{CSV}0,1,2,3,4,5,6,7\n", "poses.csv:2: qw, qx, qy, qz have another length than 1"),
        ("poses.npz", None, "poses.npz' cannot be read"),
    ],
)
def test_other_poses_are_one_line(film, name, content, message):
    if name is not None:
        text = content if isinstance(content, str) else json.dumps(content)
        film.with_name(name).write_text(text)
    with pytest.raises(ValueError) as caught:
        Scan.read(film)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_damaged_video_is_named(film):
    np.savez(film.with_name("poses.npz"), poses=ROOM.poses)
    film.write_bytes(film.read_bytes()[:700])
    with pytest.raises(ValueError, match=r"walk\.mp4: frame 0 cannot be decoded"):
        Scan.read(film)
