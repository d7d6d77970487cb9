from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from li_env.files import WRITING
from li_env.scans.scan import Scan
from tests.li_env.scans.room import FLIP, LENS, noise, room_poses

POSES = room_poses(2)
LENSES = np.tile(LENS, (16, 1)) * np.linspace(0.9, 1.1, 16)[:, None]
LEANING = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
LEANING *= np.sign(np.linalg.det(LEANING))


def leaning() -> np.ndarray:
    poses = POSES.copy()
    poses[:, :3] = LEANING @ poses[:, :3]
    poses[0, 0, 3] = -0.0
    return poses


@pytest.mark.parametrize("name", ["scan", "scan.npz", "deep/er/scan"])
@pytest.mark.parametrize(
    "scan",
    [
        Scan(noise(16), POSES),
        Scan(noise(16), POSES, LENS, 20_000_003),
        Scan(noise(16), leaning(), LENSES),
        Scan(noise(1), np.eye(4)[None], LENS[None]),
    ],
    ids=["bare", "lens and map", "lenses, leaning", "one view"],
)
def test_reading_gives_what_was_saved(tmp_path, scan, name):
    scan.save(tmp_path / name)
    read = Scan.read(tmp_path / name)
    np.testing.assert_array_equal(read.images, scan.images)
    np.testing.assert_array_equal(read.poses, scan.poses)
    assert read.content_hash == scan.content_hash
    assert not list(tmp_path.glob(f"{WRITING}*"))


def test_the_folder_is_in_nerfstudios_format(tmp_path):
    Scan(noise(16), POSES, LENS).save(tmp_path / "scan")
    data = json.loads((tmp_path / "scan/transforms.json").read_text())
    assert (data["fl_x"], data["fl_y"], data["cx"], data["cy"], data["w"], data["h"]) == (32, 32, 32, 24, 8, 6)
    np.testing.assert_array_equal([frame["transform_matrix"] for frame in data["frames"]], POSES @ FLIP)
    assert (tmp_path / "scan" / data["frames"][15]["file_path"]).is_file()


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ValueError, match="is not empty; allowed: a new or empty folder, or a file .npz"):
        Scan(noise(16), POSES).save(tmp_path)
    with pytest.raises(ValueError, match="is a file; allowed: a folder"):
        Scan(noise(16), POSES).save(tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    Scan(noise(16), POSES).save(tmp_path / "empty")
    assert len(Scan.read(tmp_path / "empty")) == 16


@pytest.mark.parametrize("name", ["scan", "scan.npz"])
def test_a_failure_leaves_nothing(tmp_path, monkeypatch, name):
    def full_disk(*arguments: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("li_env.scans.writing.json.dumps", full_disk)
    monkeypatch.setattr("li_env.scans.writing.np.savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        Scan(noise(16), POSES).save(tmp_path / "out" / name)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_appears_in_one_move(tmp_path, monkeypatch):
    moved = []
    replace = os.replace

    def watched(source: Path, target: Path) -> None:
        moved.append(Path(target).name)
        assert (Path(source) / "transforms.json").is_file()
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    Scan(noise(16), POSES).save(tmp_path / "scan")
    assert moved == ["scan"]
