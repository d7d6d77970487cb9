from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from li_env.cli import main
from li_env.recording import read_video, write_png
from tests.room_scan import room_scan


def rollout(out: Path, *options: str, world: str = "analytic", trajectory: str = "right-4, w-3") -> int:
    return main(["rollout", "--world", world, "--trajectory", trajectory, "--out", str(out), *options])


@pytest.mark.parametrize("world_name", ["analytic", "freedoom"])
def test_writes_video_sheet_and_report_and_prints_a_table(tmp_path, world_name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    out = tmp_path / "deep" / "er"
    assert rollout(out, "--seed", "3", world=world_name) == 0
    assert sorted(path.name for path in out.iterdir()) == ["contact_sheet.png", "poses.npz", "report.json", "video.mp4"]
    report = json.loads((out / "report.json").read_text())
    assert report["world"] == world_name
    assert report["seed"] == 3
    assert report["trajectory"] == "right-4, w-3"
    assert report["note"] == ""
    assert [chunk["chunk"] for chunk in report["chunks"]] == [0, 1]
    assert len(read_video(out / "video.mp4")) == report["totals"]["frames"]
    assert cv2.imread(str(out / "contact_sheet.png")) is not None
    text = capsys.readouterr().out
    assert all(chunk["regime"] in text for chunk in report["chunks"])
    assert "frames/s" in text


def test_twice_the_same_and_another_seed_differs(tmp_path, world_name):
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        assert rollout(tmp_path / name, "--seed", seed, "--start", "0", world=world_name) == 0
    a, b, c = (read_video(tmp_path / name / "video.mp4") for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_an_unfilled_last_chunk_is_completed_and_said_so(tmp_path, capsys):
    assert rollout(tmp_path, trajectory="w-5") == 0
    note = "trajectory completed by standing still for 2 latents"
    assert json.loads((tmp_path / "report.json").read_text())["note"] == note
    assert note in capsys.readouterr().out


def test_own_image(tmp_path):
    write_png(tmp_path / "start.png", np.full((200, 200, 3), 90, np.uint8))
    assert rollout(tmp_path / "out", "--image", str(tmp_path / "start.png")) == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["start_index"] == -1


def test_compare_adds_a_video_and_psnr(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert rollout(tmp_path, "--compare", "off") == 0
    compare = json.loads((tmp_path / "report.json").read_text())["compare"]
    assert compare["psnr_by_chunk"] == [99.0, 99.0], "the same preset twice gives the same frames"
    assert (compare["psnr"], compare["pooled_psnr"]) == (99.0, pytest.approx(99.0))
    assert compare["preset"] == "off"
    assert "start frame" in compare["note"]
    assert read_video(tmp_path / "compare.mp4").shape == (8, 96, 256, 3)
    assert "PSNR 99.0 dB (mean over frames), 99.0 dB pooled" in capsys.readouterr().out


def test_compare_and_bench_give_the_same_figures(tmp_path):
    """Both drive 24 latents out and back from the same start, with the same noise."""
    assert rollout(tmp_path, "--preset", "off", "--compare", "all", "--start", "0", trajectory="left-11, right-12") == 0
    names = ["--presets", "all", "--trajectories", "left-right", "--seeds", "0", "--chunks", "6", "--repeats", "1"]
    assert main(["bench", "--world", "analytic", *names, "--out", str(tmp_path / "bench")]) == 0
    compare = json.loads((tmp_path / "report.json").read_text())["compare"]
    rows = json.loads((tmp_path / "bench" / "bench.json").read_text())["worlds"][0]["rows"]
    against = next(row["against_off"] for row in rows if row["preset"] == "all")
    assert compare["psnr"] < 60, "two presets differ"
    assert compare["psnr"] == pytest.approx(against["psnr"])
    assert compare["pooled_psnr"] == pytest.approx(against["pooled_psnr"])


def test_the_game_is_driven_from_its_own_start(tmp_path):
    pytest.importorskip("vizdoom")
    for more in ((), ("--start", "3")):
        assert rollout(tmp_path, *more, world="freedoom_game") == 0
    from li_env.worlds.registry import load_world

    report, frames = json.loads((tmp_path / "report.json").read_text()), read_video(tmp_path / "video.mp4")
    game = load_world("freedoom_game")
    assert report["start_index"] == 3
    assert np.abs(frames[0].astype(int) - game.start_views.images[3]).mean() < 3
    assert len(frames) == 8
    game.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--world", "mars"), "world='mars' is unknown; allowed: "),
        (("--preset", "al"), "preset: 'al' is not known"),
        (("--compare", "fast"), "preset: 'fast' is not known"),
        (("--trajectory", "w-3,x-2"), "'x' at character 5: use one of w, s, a, d, left, right"),
        (("--trajectory", "up-2"), "up"),
        (("--trajectory", ""), "trajectory"),
        (("--trajectory", "w-0.5"), "trajectory"),
        (("--start", "99"), "start=99 is not a start frame; allowed: 0 to 1"),
        (("--seed", "-1"), "seed=-1 is not allowed; use a whole number from 0"),
        (("--image", "absent.png"), "image='absent.png' is not a file"),
        (("--device", "tpu"), "device='tpu' is unknown"),
        (("--image", "a.png", "--start", "0"), "--image and --start exclude each other"),
    ],
)
def test_bad_input_exits_2_with_one_line_and_writes_nothing(tmp_path, capsys, options, message):
    out = tmp_path / "out"
    assert rollout(out, *options) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    assert not out.exists()


def test_a_file_in_the_way_is_named_before_anything_runs(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert rollout(tmp_path / "file" / "out") == 2
    assert "is a file; allowed: a folder" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_failure_while_writing_leaves_the_old_results(tmp_path, monkeypatch, capsys):
    assert rollout(tmp_path, "--seed", "1") == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full_disk(path: object, data: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("li_env.files.write_json", full_disk)
    assert rollout(tmp_path, "--seed", "2") == 2
    assert "No space left" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_rollout_in_a_scan_names_its_views(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    scan = room_scan()
    scan.save(tmp_path / "room")
    assert rollout(tmp_path / "out", "--scan", str(tmp_path / "room"), "--view", "13", "--seed", "3") == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["scan"] == {"path": str(tmp_path / "room"), "sha256": scan.content_hash, "views": 72}
    assert all(len(chunk["views"]) == 8 for chunk in report["chunks"])
    assert "4 + 0 + 8" in capsys.readouterr().out
    assert rollout(tmp_path / "drawn", "--scan", str(tmp_path / "room")) == 0
    assert rollout(tmp_path / "none", "--view", "3") == 2
    assert rollout(tmp_path / "none", "--scan", str(tmp_path / "room"), "--view", "99") == 2
    assert rollout(tmp_path / "none", "--scan", str(tmp_path / "nowhere")) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 3 and not (tmp_path / "none").exists()
    assert "needs a scan" in errors[0] and "view=99" in errors[1] and "nowhere" in errors[2]
