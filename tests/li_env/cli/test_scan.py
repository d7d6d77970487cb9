from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from li_env.cli import main
from li_env.recording import read_video
from li_env.scans.scan import Scan
from li_env.tasks import EpisodeDataset, EpisodeRecord
from tests.li_env.scans.room import room_scan


def saved(folder: Path, *swap: int) -> Path:
    room = room_scan(4)
    poses = room.poses.copy()
    poses[list(swap)] = poses[list(swap[::-1])]
    Scan(room.images, poses, room.intrinsics).save(folder)
    return folder


def test_check_prints_counts_and_draws_the_coverage(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    folder, out = saved(tmp_path / "scan"), tmp_path / "map.png"
    assert main(["scan", "check", str(folder), "--world", "analytic", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    for part in ("32", "48 x 64", "1.58 to the nearest", "32 compared; 0 disagree", "lengths in metres"):
        assert part in text
    assert cv2.imread(str(out)) is not None


def test_check_names_views_that_were_swapped(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    folder, out = saved(tmp_path / "scan", 3, 20), tmp_path / "map.png"
    assert main(["scan", "check", str(folder), "--world", "analytic", "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert "2 disagree" in captured.out and out.is_file()
    assert captured.err.count("\n") == 1
    assert "3 (fits the pose of view 20)" in captured.err and "20 (fits the pose of view 3)" in captured.err


def test_check_names_another_convention(tmp_path, capsys):
    room = room_scan(4)
    shuffled = np.random.default_rng(0).permutation(32)
    poses = np.linalg.inv(room.poses)[shuffled]  # in this order positions say nothing
    np.savez(tmp_path / "scan.npz", images=room.images[shuffled], poses=poses, intrinsics=room.intrinsics)
    assert main(["scan", "check", str(tmp_path / "scan.npz"), "--world", "analytic"]) == 2
    assert "no view agrees with its pose; the poses are world-to-camera matrices" in capsys.readouterr().err


def test_show_prints_and_writes_a_sheet(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    folder, out = saved(tmp_path / "scan"), tmp_path / "sheet.png"
    assert main(["scan", "show", str(folder), "--views", "6", "--columns", "3", "--out", str(out)]) == 0
    assert "90 x 74 degrees" in capsys.readouterr().out
    assert cv2.imread(str(out)).shape == (2 * 50 + 2, 3 * 66 + 2, 3)


@pytest.mark.parametrize("name", ["scan", "scan.npz"])
def test_build_check_and_show(tmp_path, capsys, name):
    pytest.importorskip("vizdoom")
    words = ["--map-seed", "10000001", "--spacing", "12", "--headings", "6", "--out", str(tmp_path / name)]
    assert main(["scan", "build", *words]) == 0
    scan = Scan.read(tmp_path / name)
    assert f"{len(scan)} views from {len(scan) // 6} spots of map 10000001, hash {scan.content_hash[:16]}" in (
        capsys.readouterr().out
    )
    assert scan.map_seed == 10_000_001
    assert main(["scan", "show", str(tmp_path / name)]) == 0
    again = main(["scan", "build", *words])
    assert again == (0 if name.endswith(".npz") else 2)


def test_build_scans_of_the_maps_of_a_dataset(tmp_path, capsys):
    pytest.importorskip("vizdoom")
    records = tuple(EpisodeRecord(0, (0.0, 0.0, 0.0), (1.0, 1.0, 0.0), map_seed=seed) for seed in (5, 6, 5))
    EpisodeDataset(records, {}).write(tmp_path / "episodes.json")
    words = ["--dataset", str(tmp_path / "episodes.json"), "--spacing", "12", "--headings", "6", "--most", "30"]
    words += ["--size", "large"]
    assert main(["scan", "build", *words, "--workers", "2", "--out", str(tmp_path / "scans")]) == 0
    assert "scans of 2 maps" in capsys.readouterr().out
    settings = json.loads((tmp_path / "scans" / "build.json").read_text())
    assert settings == {"spacing": 12, "headings": 6, "most": 30, "size": "large"}
    files = sorted((tmp_path / "scans").glob("*.npz"))
    assert [file.name for file in files] == ["map_5.npz", "map_6.npz"]
    assert [Scan.read(file).map_seed for file in files] == [5, 6]
    assert max(len(Scan.read(file)) for file in files) <= 30
    assert {Scan.read(file).images.shape[1:] for file in files} == {(192, 256, 3)}
    before = [file.stat().st_mtime_ns for file in files]
    assert main(["scan", "build", *words, "--out", str(tmp_path / "scans")]) == 0
    assert [file.stat().st_mtime_ns for file in files] == before
    assert main(["scan", "build", *words[:-2], "--out", str(tmp_path / "scans")]) == 2
    assert "size=None differs from that of the scans in" in capsys.readouterr().err
    words[words.index("12")] = "9"
    assert main(["scan", "build", *words, "--out", str(tmp_path / "scans")]) == 2
    assert "spacing=9.0 differs from that of the scans in" in capsys.readouterr().err


def test_a_rollout_is_a_scan(tmp_path):
    words = ["--world", "analytic", "--trajectory", "right-4, w-3", "--compare", "off", "--out", str(tmp_path)]
    assert main(["rollout", *words]) == 0
    scan = Scan.read(tmp_path)
    np.testing.assert_array_equal(scan.images, read_video(tmp_path / "video.mp4"))
    np.testing.assert_array_equal(scan.poses[0], np.eye(4))
    heading = np.degrees(np.arctan2(scan.poses[-1, 0, 2], scan.poses[-1, 2, 2]))
    assert heading == pytest.approx(60) and np.linalg.norm(scan.poses[-1, :3, 3]) == pytest.approx(3 * 0.75)
    np.testing.assert_allclose(scan.intrinsics, [64, 76.8, 64, 48])


BUILD = ["scan", "build", "--map-seed", "5", "--out", "new"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*BUILD, "--world", "mars"], "world='mars' is unknown; allowed: freedoom_game"),
        ([*BUILD, "--map-seed", "-1"], "map_seed=-1 is not allowed; use a whole number from 0"),
        ([*BUILD, "--map-seed", "1000000000"], "map_seed=1000000000 is not allowed"),
        ([*BUILD, "--spacing", "0"], "spacing=0.0 is not allowed"),
        ([*BUILD, "--spacing", "nan"], "spacing=nan is not allowed"),
        ([*BUILD, "--headings", "0"], "headings=0 is not allowed"),
        ([*BUILD, "--out", ""], "out='' is empty"),
        ([*BUILD, "--out", "full"], "is not empty; allowed: a new or empty folder"),
        ([*BUILD, "--out", "full/file"], "is a file; allowed: a folder"),
        (["scan", "build", "--out", "new"], "map_seed and dataset exclude each other; allowed: one of the two"),
        ([*BUILD, "--dataset", "scan.npz"], "map_seed and dataset exclude each other"),
        ([*BUILD, "--most", "0"], "most=0 is not allowed"),
        ([*BUILD, "--size", "huge"], "size='huge' is unknown; allowed: small, large"),
        ([*BUILD, "--workers", "0"], "workers=0 is not allowed"),
        (["scan", "check", "absent"], "scan='absent' does not exist"),
        (["scan", "check", "full"], "scan='full' holds no poses; looked for: transforms.json"),
        (["scan", "check", "scan.npz", "--world", "mars"], "world='mars' is unknown"),
        (["scan", "check", "scan.npz", "--scale", "0"], "scale=0.0 is not allowed"),
        (["scan", "check", "scan.npz", "--scale", "1000"], "no two views overlap"),
        (["scan", "check", "scan.npz", "--scale", "12", "--world", "analytic"], "but a view shows 8: no two views"),
        (["scan", "check", "scan.npz", "--axes", "up"], "--axes"),
        (["scan", "check", "scan.npz", "--episode", "1"], "episode=1 is of use with a recorded dataset only"),
        (["scan", "check", "scan.npz", "--out", "full"], "out='full' is a folder; allowed: the name of a file"),
        (["scan", "check", "narrow.npz", "--world", "analytic"], "scan of another frame shape than the world can use"),
        (["scan", "show", "absent"], "scan='absent' does not exist"),
        (["scan", "show", "scan.npz", "--views", "0"], "views=0 is not allowed"),
        (["scan", "show", "scan.npz", "--columns", "0"], "columns=0 is not allowed"),
        (["scan", "show", "scan.npz", "--out", "full/file/below.png"], "is a file; allowed: a folder"),
        (["scan", "view"], "command='scan view' is unknown"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("li_env.worlds.common.game.require_game", lambda purpose: pytest.fail("began to work"))
    Path("full").mkdir()
    Path("full/file").write_text("mine")
    room = room_scan(2)
    room.save("scan.npz")
    Scan(room.images, room.poses, np.array([80.0, 80, 32, 24])).save("narrow.npz")
    before = sorted(tmp_path.rglob("*"))
    assert main(words) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_build_needs_the_game(tmp_path, capsys, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "vizdoom", None)
    assert main(["scan", "build", "--map-seed", "5", "--out", str(tmp_path / "new")]) == 2
    assert "pip install 'li-env[doom]'" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
