"""Settings, report file, targets, tables, plot, and the run that goes on where it stopped."""

import json

import cv2
import numpy as np
import pytest

from li_env.evaluation.world import run
from li_env.evaluation.world.measurement import Unit
from li_env.evaluation.world.settings import PARTS, WorldSettings
from li_env.evaluation.world.store import Store, find_row, value_at
from li_env.evaluation.world.tables import markdown, shown
from li_env.evaluation.world.targets import Target, targets
from tests.li_env.evaluation.world.remembering_world import PictureRenderer, RememberingWorld


@pytest.mark.parametrize(
    "given, message",
    [
        ({"split": "training"}, "split='training' is unknown; allowed: validation, test"),
        ({"parts": ("walk",)}, "parts='walk' is unknown (did you mean 'walks'?)"),
        ({"parts": ()}, "parts=[] is not allowed; use one value or more, each once"),
        ({"spacings": (4.0, 2.5)}, "spacings=[4.0, 2.5] is not allowed; use increasing numbers"),
        ({"spacings": (2.5, 2.5)}, "each once"),
        ({"spacings": (0.1,)}, "spacings=0.1 is not allowed"),
        ({"headings": 0}, "headings=0 is not allowed; use a whole number from 1 to 360"),
        ({"presets": ("of",)}, "preset"),
        ({"trajectories": 0}, "trajectories=0 is not allowed"),
        ({"max_seconds": 0.0}, "max_seconds=0.0 is not allowed"),
    ],
)
def test_bad_settings_get_one_line(given, message):
    with pytest.raises(ValueError) as caught:
        WorldSettings(**given)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_splits_have_maps_of_their_own():
    validation, test = (WorldSettings(split=split, seed=3).map_seeds for split in ("validation", "test"))
    assert validation == range(10_030_000, 10_030_064) and test == range(20_030_000, 20_030_064)


def head(**identity):
    return {"identity": identity, "commit": "c0ffee", "settings": {"presets": ["off"], "spacings": [2.5]}}


def test_a_report_goes_on_with_equal_settings_and_begins_anew_with_others(tmp_path):
    path = tmp_path / "report.json"
    store = Store(path, head(seed=0))
    store.add("walks", {"scan": None}, {"psnr": 20.0}, 1.0)
    again = Store(path, {**head(seed=0), "commit": "bad", "settings": {"presets": ["all"], "spacings": [4.0]}})
    assert again.has("walks", {"scan": None}) and not again.has("walks", {"scan": 2.5}) and again.anew == []
    again.add("walks", {"scan": 2.5}, {"psnr": 25.0}, 2.0)
    report = json.loads(path.read_text())
    assert report["parts"]["walks"]["seconds"] == 3.0 and report["parts"]["walks"]["commits"] == ["c0ffee", "bad"]
    assert report["settings"] == {"presets": ["off", "all"], "spacings": [2.5, 4.0]}
    assert find_row(report, "walks", scan=2.5)["psnr"] == 25.0 and find_row(report, "walks", scan=6.0) is None
    other = Store(path, head(seed=1))
    assert other.anew == ["seed"] and other.rows("walks") == []
    assert value_at({"a": [{"b": 3}]}, "a", 0, "b") == 3
    assert value_at({"a": []}, "a", 0, "b") is None and value_at(None, "a") is None and value_at(3, "a") is None


def test_a_damaged_report_gets_one_line(tmp_path):
    (tmp_path / "report.json").write_text('{"identity": {')
    with pytest.raises(ValueError, match="report") as caught:
        Store(tmp_path / "report.json", head(seed=0))
    assert "\n" not in str(caught.value)


def report_of(**parts):
    return {
        "settings": {"presets": ["off"], "spacings": [2.5, 4.0], "split": "test", "trajectories": 64},
        "parts": {name: {"rows": rows} for name, rows in parts.items()},
        "missing": [],
    }


def walk(scan, early, late, sixteen):
    ranges = {name: {"psnr": {"mean": value}} for name, value in (("1-9", early), ("27-31", late), ("16", sixteen))}
    ranges["1-9"]["layout"] = {"mean": 0.75}
    sharp = {"mean": [0.4] * 15 + [0.7]}
    labels = {"preset": "off", "scan": scan, "start": "picture"}
    return {"labels": labels, "ranges": ranges, "by_chunk": {"sharpness": sharp}}


def test_targets_read_the_numbers_that_they_name():
    report = report_of(
        walks=[walk(None, 16.0, 15.0, 17.0), walk(2.5, 25.5, 23.0, 23.5), walk(4.0, 26.0, 24.0, 23.0)],
        paths=[{"labels": {"preset": "off", "scan": 2.5, "kind": "free"}, "after": {"32": {"median": 0.2}}}],
        walls=[{"labels": {"scan": 2.5}, "0.05": {"recall": 0.94}, "0.25": {"recall": 0.97}}],
        agents=[
            {
                "labels": {"preset": "off", "scan": 2.5, "agent": "mapper"},
                "same_success": 1.0,
                "spl_difference": {"mean": -0.06},
            }
        ],
        collapse=[
            {"labels": {"preset": "off", "scan": None, "kind": kind}, "frames": 8, "collapsed": count}
            for kind, count in (("walk", 0), ("mix", 3))
        ],
        steps=[
            {"labels": {"preset": "off", "scan": None, "steps": number}, "ranges": {"1-9": {"psnr": {"mean": value}}}}
            for number, value in ((4, 20.0), (16, 20.75))
        ],
    )
    found = {target.name: target for target in targets(report, "off")}
    assert len(found) == len(targets(report, "off")), "every name is there once"

    def of(name):
        return found[name].value, found[name].reached

    assert of("scan of 2.5 m: chunks 1-9") == (25.5, "required")
    assert of("scan of 2.5 m: chunks 27-31") == (23.0, "no")
    assert of("scan of 4 m: chunks 1-9") == (26.0, "stretch")
    assert of("scan of 4 m: chunks 27-31") == (24.0, "-"), "nothing is asked of it"
    assert of("scan of 2.5 m: above no scan, chunk 16") == (6.5, "stretch")
    assert of("scan of 2.5 m: layout, chunks 1-9") == (0.75, "required")
    assert of("sharpness of an own walk, chunk 16") == (0.7, "stretch")
    assert of("free paths after 32 steps, scan of 2.5 m: median error") == (0.2, "stretch")
    assert of("free paths after 32 steps, no scan: median error") == (None, "-")
    assert of("walls of the scan stop the camera, by more than 0.05 m: recall") == (0.94, "no")
    assert of("mapper inside a scan and in the game: same success") == (1.0, "stretch")
    assert of("mapper: SPL inside a scan against the game") == (0.06, "no")
    assert of("collapsed frames of 16, no scan") == (3.0, "no")
    assert of("4 steps below 16, no scan: PSNR") == (0.75, "no")
    assert of("autoencoder: PSNR") == (None, "-")

    lines = markdown(report).splitlines()
    assert lines[:2] == ["| against the game | `off` | required | stretch |", "| --- | --- | --- | --- |"]
    assert len(lines) == 2 + len(found)
    assert "| scan of 2.5 m: chunks 1-9 | 25.5 dB | 25 | 27 |" in lines
    assert "| free paths after 32 steps, scan of 2.5 m: median error | 0.20 m | <= 0.3 | <= 0.3 |" in lines


def test_a_dash_stands_for_what_was_not_measured():
    assert shown(Target("x", "dB", None, 1.0, 2.0)) == "-"
    assert shown(Target("x", "frames", 3.0, 0, 0, True, 0)) == "3"


@pytest.fixture
def measured(monkeypatch):
    monkeypatch.setattr(run, "load_world", lambda *arguments: RememberingWorld())
    game = run.Game
    monkeypatch.setattr(run, "Game", lambda settings: game(settings, PictureRenderer()))
    monkeypatch.setenv("LI_ENV_COMMIT", "c0ffee")
    return WorldSettings(
        trajectories=1, chunks=2, positions=1, spacings=(6.0,), headings=4, presets=("off",), parts=("walks", "paths")
    )


def test_a_stopped_run_goes_on(measured, tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(run.time, "perf_counter", lambda: now.__setitem__(0, now[0] + 1.0) or now[0])
    stopped = WorldSettings(**{**measured.__dict__, "max_seconds": 4.0})
    report = run.measure_world(stopped, tmp_path)
    done = len(report["parts"]["walks"]["rows"])
    assert 0 < done < 3 and report["missing"] and (tmp_path / run.FRAMES).exists()
    report = run.measure_world(measured, tmp_path)
    assert report["missing"] == [] and not (tmp_path / run.FRAMES).exists()
    assert [len(report["parts"][name]["rows"]) for name in ("walks", "paths")] == [3, 4]
    assert report["commit"] == "c0ffee" and report["settings"]["split"] == "validation"
    assert {"torch", "python"} <= set(report["versions"]) and report["device"]
    assert report == json.loads((tmp_path / run.REPORT).read_text())
    for name in (run.PLOT, run.PICTURE):
        assert cv2.imread(str(tmp_path / name)) is not None
    sheet = cv2.imread(str(tmp_path / run.PICTURE))
    assert sheet.shape[0] >= 3 * 96, "game, no scan and scan"
    lines = []
    other = WorldSettings(**{**measured.__dict__, "seed": 1, "parts": ("paths",)})
    assert set(run.measure_world(other, tmp_path, say=lines.append)["parts"]) == {"paths"}
    assert any("begins anew: seed" in line for line in lines)


def test_parts_from_above_are_measured_too(measured, tmp_path):
    settings = WorldSettings(**{**measured.__dict__, "parts": ("agents",)})
    more = {"agents": lambda measurement: [Unit({"preset": "off"}, lambda: {"episodes": 3})]}
    report = run.measure_world(settings, tmp_path, more)
    assert report["parts"]["agents"]["rows"] == [{"labels": {"preset": "off"}, "episodes": 3}]
    assert set(run.OWN) | {"fidelity", "agents"} == set(PARTS)


def test_numbers_in_a_report_are_finite(measured, tmp_path):
    report = run.measure_world(measured, tmp_path)
    assert np.isfinite(
        [value for values in report["parts"]["paths"]["rows"][0]["by_step"].values() for value in values]
    ).all()
