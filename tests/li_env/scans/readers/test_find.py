from __future__ import annotations

import numpy as np
import pytest

from li_env.scans.readers import LOOKED_FOR
from li_env.scans.scan import Scan
from tests.li_env.scans.room import noise, room_poses, write_transforms


def test_a_folder_without_poses_says_what_was_looked_for(tmp_path):
    with pytest.raises(ValueError) as caught:
        Scan.read(tmp_path)
    assert f"holds no poses; looked for: {LOOKED_FOR}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [("absent", "does not exist"), ("file.txt", "is no scan; allowed: a folder, .npz, transforms.json, or a video")],
)
def test_paths_that_are_no_scan(tmp_path, name, message):
    (tmp_path / "file.txt").write_text("mine")
    with pytest.raises(ValueError, match=message):
        Scan.read(tmp_path / name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0}, "scale=0 is not allowed"), ({"scale": -1}, "scale=-1"), ({"scale": float("nan")}, "scale=nan"),
        ({"scale": "2"}, "scale='2'"), ({"axes": "blender"}, "axes='blender' is unknown; allowed: opencv, opengl"),
        ({"every": 0}, "every=0 is not allowed"), ({"every": 1.5}, "every=1.5"), ({"episode": -1}, "episode=-1"),
        ({"episode": 0}, "episode=0 is of use with a recorded dataset only"),
    ],
)  # fmt: skip
def test_options_that_are_not_allowed(tmp_path, options, message):
    np.savez(tmp_path / "scan.npz", images=noise(8), poses=room_poses(1))
    with pytest.raises(ValueError, match=message):
        Scan.read(tmp_path / "scan.npz", **options)


def test_a_scale_that_makes_no_overlap_is_refused(tmp_path):
    folder = write_transforms(tmp_path, room_poses(2), axes="opencv")
    with pytest.raises(ValueError, match="no two views overlap"):
        Scan.read(folder, axes="opencv", scale=1000.0)


def test_text_paths_are_taken(tmp_path):
    np.savez(tmp_path / "scan.npz", images=noise(8), poses=room_poses(1))
    assert len(Scan.read(str(tmp_path / "scan.npz"))) == 8
