from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
import torch

from li_env.cli import main
from li_env.evaluation.world import run as measured
from li_env.worlds.common import game
from tests.li_env.evaluation.fidelity.photographic_world import PhotographicWorld


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def evaluate(*options: str) -> int:
    return main(["evaluate", "world", "--device", "cpu", *options])


def test_a_world_with_photographic_memory_is_measured_against_the_game(tmp_path, monkeypatch, capsys, one_thread):
    pytest.importorskip("vizdoom")
    loaded = []
    monkeypatch.setattr(measured, "load_world", lambda *arguments: loaded.append(arguments) or PhotographicWorld())
    monkeypatch.setenv("COLUMNS", "160")
    out = tmp_path / "deep" / "er"
    options = ("--quick", "--trajectories", "1", "--chunks", "2", "--weights", str(tmp_path), "--split", "test")
    options += ("--preset", "off", "--parts", "fidelity", "--workers", "1")
    assert evaluate("--out", str(out), *options) == 0
    assert loaded == [("freedoom", "cpu", tmp_path)]
    names = ["freedoom_fidelity.json", "freedoom_fidelity.png", "freedoom_fidelity_side_by_side.png"]
    whole = ["freedoom_world.json", "freedoom_world.png"]
    assert sorted(path.name for path in out.iterdir()) == [*names, *whole]
    assert all(cv2.imread(str(out / name)) is not None for name in names[1:])
    report = json.loads((out / names[0]).read_text())
    assert report["settings"]["trajectories"] == 1 and report["settings"]["preset"] == "off"
    assert report["settings"]["command"].startswith("li-env evaluate world --out")
    assert report["settings"]["split"] == "test" and "--split test" in report["settings"]["command"]
    world = json.loads((out / whole[0]).read_text())
    assert world["parts"]["fidelity"]["rows"] == [
        {"labels": {"preset": "off"}, "file": names[0], "bars": report["bars"]}
    ]
    assert world["command"] == report["settings"]["command"] and world["settings"]["split"] == "test"
    assert {"torch", "python"} <= set(report["versions"]) and report["device"]

    # what the camera saw before in the real past comes back as it was: exact poses, exact frames
    looks = {(row["kind"], row["first_look"], row["memory"]): row for row in report["revisits"]}
    assert (
        looks[("spin", "real", True)]["psnr/memory"]["mean"] > 5 + looks[("spin", "real", False)]["psnr/memory"]["mean"]
    )
    ceiling = [row for row in report["next_chunk"] if row["method"] == "autoencoder"]
    assert ceiling and all(row["psnr"]["mean"] == 99.0 for row in ceiling)
    assert {row["place"] for row in ceiling} == {"held-out maps", "hand-made Freedoom maps", "my_way_home"}
    walk = report["own_rollouts"][0]
    assert (walk["kind"], walk["steps"], walk["memory"]) == ("walk", 4, True)
    assert len(walk["psnr"]["mean"]) == 2 and 0 < walk["share/seen"]["mean"][0] < 1
    assert report["motion"]["motions"] == 4 * 23

    bars = {row["bar"]: row for row in report["bars"]}
    assert bars["chunk 16 of an own walk"]["value"] is None
    assert bars["next chunk, walk"]["reached"] in ("no", "must", "aim")
    text = capsys.readouterr().out
    assert "against the game" in text and "real first look, generated second" in text


@pytest.mark.parametrize(
    "options, message",
    [
        (("--trajectories", "0"), "trajectories=0 is not allowed; use a whole number from 1"),
        (("--preset", "of"), "preset"),
        (("--split", "training"), "split='training' is unknown; allowed: validation, test"),
        (("--parts", "walk"), "parts='walk' is unknown (did you mean 'walks'?)"),
        (("--spacings", "4", "2.5"), "spacings=[4.0, 2.5] is not allowed; use increasing numbers"),
        (("--device", "tpu"), "device='tpu' is unknown"),
        (("--weights", "/nowhere"), "no weights in /nowhere: weights.json is missing"),
        (("--out", __file__), "is a file; allowed: a folder"),
    ],
)
def test_bad_input_exits_2_with_one_line(options, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(game, "require_game", lambda purpose: None)
    assert evaluate(*options) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error
    assert list(Path(tmp_path).iterdir()) == []


def test_without_vizdoom_the_extra_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "vizdoom", None)
    assert evaluate("--out", str(tmp_path)) == 2
    assert "pip install 'li-env[doom]'" in capsys.readouterr().err
