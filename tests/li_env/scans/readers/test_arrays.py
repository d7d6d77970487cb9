from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from li_env.scans.scan import Scan
from tests.li_env.scans.room import FLIP, LENS, noise, room_poses


def test_arrays_are_read_as_they_are(tmp_path):
    poses, lenses = room_poses(2), np.tile(LENS, (16, 1)) + np.arange(16)[:, None]
    np.savez(tmp_path / "scan.npz", images=noise(16), poses=poses.astype(np.float32), intrinsics=lenses, map_seed=9)
    scan = Scan.read(tmp_path / "scan.npz", every=2)
    np.testing.assert_array_equal(scan.images, noise(16)[::2])
    np.testing.assert_allclose(scan.poses, poses[::2], atol=1e-6)
    np.testing.assert_array_equal(scan.intrinsics, lenses[::2])
    assert scan.map_seed == 9
    np.savez(tmp_path / "blender.npz", images=noise(16), poses=poses @ FLIP)
    np.testing.assert_array_equal(Scan.read(tmp_path / "blender.npz", axes="opengl").poses, poses)
    with pytest.raises(ValueError, match="use axes='opengl'"):
        Scan.read(tmp_path / "blender.npz")


def test_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "scan.npz", images=noise(2), poses=np.array([{}, []], dtype=object))
    with pytest.raises(ValueError, match="cannot be read .*pickle"):
        Scan.read(tmp_path / "scan.npz")


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**33 + 1,)})
    with zipfile.ZipFile(tmp_path / "scan.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("images.npy", header.getvalue())
    data = (tmp_path / "scan.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "scan.npz") as file:
        (entry,) = file.infolist()
        small = entry.file_size.to_bytes(4, "little")
    (tmp_path / "scan.npz").write_bytes(data.replace(small, (2**32 - 2).to_bytes(4, "little")))
    with pytest.raises(ValueError, match="cannot be read"):
        Scan.read(tmp_path / "scan.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": noise(2)}, "array 'poses' is missing (found: ['images'])"),
        ({"poses": room_poses(2)}, "array 'images' is missing"),
        ({"images": noise(2), "poses": room_poses(1)}, "2 images, 8 poses; one each is needed"),
        ({"images": noise(8), "poses": room_poses(1), "intrinsics": np.ones((3, 4))}, "3 intrinsics for 8 images"),
        ({"images": noise(8), "poses": np.array(["a"] * 8)}, "array 'poses' is <U1 [8]"),
        ({"images": noise(8), "poses": np.float64(3)}, "array 'poses' is float64 []"),
        ({"images": noise(8), "poses": room_poses(1), "map_seed": np.array([1, 2])}, "map_seed=int64 [2]"),
    ],
)
def test_missing_and_odd_arrays(tmp_path, arrays, message):
    np.savez(tmp_path / "scan.npz", **arrays)
    with pytest.raises(ValueError) as caught:
        Scan.read(tmp_path / "scan.npz")
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0, 10, 500, 1000])
def test_damaged_files_are_one_line(tmp_path, keep):
    np.savez(tmp_path / "scan.npz", images=noise(8), poses=room_poses(1))
    data = bytearray((tmp_path / "scan.npz").read_bytes())
    (tmp_path / "scan.npz").write_bytes(data[:keep])
    with pytest.raises(ValueError, match=r"scan=.*cannot be read .*allowed: an \.npz file"):
        Scan.read(tmp_path / "scan.npz")
    data[200:260] = b"x" * 60
    (tmp_path / "scan.npz").write_bytes(data)
    with pytest.raises(ValueError, match="cannot be read"):
        Scan.read(tmp_path / "scan.npz")
