"""Reports of processes that divided one measurement, joined."""

import json

import cv2
import pytest

from li_env.evaluation.world import run
from li_env.evaluation.world.join import join_folders, joined
from tests.li_env.evaluation.world.test_report import walk


def report(number, identity=None, spacings=(2.5,), missing=(), **parts):
    return {
        "note": "a note",
        "command": f"command {number}",
        "commit": "c0ffee",
        "device": "a GPU",
        "versions": {"torch": "2"},
        "seconds": 10.0,
        "settings": {
            "world": "freedoom", "presets": ["off"], "spacings": [*spacings], "split": "test", "trajectories": 64,
        },
        "identity": identity or {"seed": 0, "weights": "abc"},
        "missing": [*missing],
        "parts": {
            name: {"rows": rows, "commits": ["c0ffee"], "seconds": 1.5} for name, rows in parts.items()
        },
    }  # fmt: skip


WALLS = {"labels": {"scan": 2.5}, "0.05": {"recall": 0.96}, "0.25": {"recall": 0.9}}


def save(folder, content):
    folder.mkdir()
    (folder / run.REPORT).write_text(json.dumps(content))
    return folder


def test_parts_units_commands_and_missing_units_come_together():
    one = report(
        1, walls=[WALLS], walks=[walk(2.5, 25.5, 24.5, 25.0)], missing=["walks no scan off picture", "loops x"]
    )
    two = report(2, spacings=(2.5, 4.0), walks=[walk(None, 16.0, 15.0, 17.0)], missing=[])
    two["parts"]["walks"]["rows"][0]["labels"] = {"scan": None, "preset": "off", "start": "picture"}
    found = joined([("one", one), ("two", two)])
    assert [*found["parts"]] == ["walks", "walls"], "in the order of a run by one process"
    assert len(found["parts"]["walks"]["rows"]) == 2 and found["parts"]["walks"]["seconds"] == 3.0
    assert found["parts"]["walks"]["commits"] == ["c0ffee"]
    assert found["settings"]["spacings"] == [2.5, 4.0]
    assert found["missing"] == ["loops x"], "what another process measured is not missing"
    assert found["command"] == "command 1; command 2" and found["commit"] == "c0ffee" and found["device"] == "a GPU"
    assert [(each["command"], each["seconds"], each["parts"]) for each in found["runs"]] == [
        ("command 1", 10.0, ["walls", "walks"]),
        ("command 2", 10.0, ["walks"]),
    ]
    values = {each["name"]: each["value"] for each in found["targets"]["off"]}
    assert values["scan of 2.5 m: above no scan, chunk 16"] == 8.0, "needs a row of each"
    assert one["parts"]["walks"]["rows"] == [walk(2.5, 25.5, 24.5, 25.0)], "the reports stay as they were"
    again = joined([("both", found), ("three", report(3, loops=[{"labels": {"kind": "ABA"}}]))])
    assert [each["command"] for each in again["runs"]] == ["command 1", "command 2", "command 3"]


def test_files_are_written_and_pictures_taken_over(tmp_path):
    walls = save(tmp_path / "walls", report(1, walls=[WALLS]))
    walks = save(tmp_path / "walks", report(2, collapse=[]))
    (walks / run.PICTURE).write_bytes(b"a picture")
    found = join_folders([walls, walks], tmp_path / "new" / "joined")
    assert found == json.loads((tmp_path / "new/joined" / run.REPORT).read_text())
    assert (tmp_path / "new/joined" / run.PICTURE).read_bytes() == b"a picture"
    assert cv2.imread(str(tmp_path / "new/joined" / run.PLOT)) is not None
    assert sorted(path.name for path in (tmp_path / "new/joined").iterdir()) == sorted(
        [run.REPORT, run.PLOT, run.PICTURE]
    )


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (report(2, {"seed": 1, "weights": "abc"}), "'one' and 'two' differ in seed 0 and 1"),
        (report(2, {"seed": 0, "weights": "other"}), "differ in weights 'abc' and 'other'"),
        (report(2, {"seed": 0}), "differ in weights 'abc' and None"),
        (report(2, walls=[WALLS]), "'walls 2.5' was measured in 'one' and 'two'; every unit may come once"),
        ({key: value for key, value in report(2).items() if key != "missing"}, "'two' was not written to its end"),
        (None, "1 report is not allowed; join two or more"),
    ],
)
def test_reports_that_do_not_belong_together_get_one_line(second, message):
    named = [("one", report(1, walls=[WALLS]))] + ([("two", second)] if second else [])
    with pytest.raises(ValueError) as caught:
        joined(named)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_without_a_report_writes_nothing(tmp_path):
    one = save(tmp_path / "one", report(1, walls=[WALLS]))
    (tmp_path / "two").mkdir()
    with pytest.raises(ValueError, match=run.REPORT):
        join_folders([one, tmp_path / "two"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
