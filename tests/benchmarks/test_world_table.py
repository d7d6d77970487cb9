"""The table of `li-env evaluate world` on a page."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from li_env.files import write_json


def main(words: list[str]) -> int:
    """Run the script."""
    status: int = import_module("world_table").main(words)
    return status


@pytest.fixture
def report(tmp_path: Path) -> Path:
    settings = {"presets": ["off", "all"], "spacings": [2.5], "split": "test", "trajectories": 64, "headings": 8}
    row = {"labels": {"scan": 2.5}, "0.05": {"recall": 0.96}, "0.25": {"recall": 0.9}}
    part = {"rows": [row], "commits": ["c0ffee"], "seconds": 1.0}
    write_json(
        tmp_path / "report.json",
        {
            "note": "a note",
            "command": "li-env evaluate world --split test",
            "commit": "c0ffee",
            "device": "a GPU",
            "settings": settings,
            "identity": {},
            "missing": ["loops off"],
            "parts": {"walls": part},
        },
    )
    return tmp_path / "report.json"


def test_the_table_goes_to_the_terminal_or_into_a_page(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(report)]) == 0
    text = capsys.readouterr().out
    assert "| walls of the scan stop the camera, by more than 0.05 m: recall | 0.960 | 0.960 | 0.95 | 0.95 |" in text
    assert "split test" in text and "commit c0ffee" in text and "Not measured: loops off." in text
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- world table -->\nold\n<!-- /world table -->\nbelow\n")
    assert main([str(report), "--page", str(page)]) == 0
    assert page.read_text() == f"above\n<!-- world table -->\n{text}<!-- /world table -->\nbelow\n"


def test_reports_of_several_processes_are_joined_first(
    report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(report.read_text())
    content["settings"]["world"] = "freedoom"
    for name, parts, missing in (("a", content["parts"], []), ("b", {}, ["loops off"])):
        (tmp_path / name).mkdir()
        own = {"command": f"command {name}", "parts": parts, "missing": missing}
        write_json(tmp_path / name / "freedoom_world.json", {**content, **own})
    words = ["--join", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "joined")]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "recall | 0.960 | 0.960 |" in text and "- `command a`\n- `command b`\n" in text
    assert main([str(tmp_path / "joined" / "freedoom_world.json")]) == 0
    assert capsys.readouterr().out == text
    assert main([*words[:2], str(tmp_path / "a"), *words[3:]]) == 2, "the same report twice"
    assert "every unit may come once" in capsys.readouterr().err
    for wrong in (words[:3], [str(report), "--out", "x"], [], [str(report), *words]):
        with pytest.raises(SystemExit):
            main(wrong)


def test_bad_input_gets_one_line(report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, other = tmp_path / "page.md", tmp_path / "other.json"
    page.write_text("no place\n")
    other.write_text("{}")
    for words, message in (
        ([str(report), "--page", str(page)], "has no place for it"),
        ([str(other)], "is no report of li-env evaluate world"),
        ([str(tmp_path / "none.json")], "none.json"),
    ):
        assert main(words) == 2
        error = capsys.readouterr().err.strip()
        assert message in error and "\n" not in error
    assert page.read_text() == "no place\n"
