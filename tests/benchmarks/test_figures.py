"""Numbers in the texts are those of the recorded files, and no others stand there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("docs/*.md"), *ROOT.glob("docs/worlds/*.md")]

UNITS = r"dB|frames/s|frames per second|fps|ms|milliseconds|s|seconds|GiB|MiB|TFLOP/s|TFLOPS|TFLOP|GFLOP/s"
MEASURED = re.compile(
    rf"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:\s+(?:to|and|or|/)\s+\d[\d,.]*)*(?:\s*)(?:{UNITS})(?![\w/])"
    r"|speed-?ups?(?: \w+)? of \d[\d.]*|\d[\d.]* ?(?:x|times) (?:faster|as fast|slower)|"
    r"(?:SPL|success)(?: of)? \d[\d.]*"
)
TABLE_OF_MEASURES = re.compile(rf"(?<![\w-])(?:{UNITS}|SPL|success|speed-up|PSNR)(?![\w-])")

ALLOWED = {
    "docs/worlds/hy_worldplay.md": {
        "24 frames per second": "what the model was made for",
        "0.4 GiB": "shapes of text states",
        "12.9 GiB": "keys and values of 20 latents, from their shapes",
        "2 GiB": "buffers, from their shapes",
    },
    "docs/worlds/matrix_game_3.md": {"17 frames per second": "what the model was made for"},
}
"""Numbers that no file of the folder holds, with the reason why they may stand there."""


@pytest.fixture
def figures() -> Any:
    module = import_module("figures")
    module.load_figures()
    return module


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Texts and recorded files, to be changed."""
    shutil.copy(ROOT / "README.md", tmp_path)
    for path in PAGES:
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for path in (ROOT / "benchmarks").rglob("*"):
        if path.suffix in (".json", ".jsonl", ".md", ".txt"):
            target = tmp_path / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    return tmp_path


def change(path: Path, *keys: Any, value: Any) -> None:
    report = json.loads(path.read_text())
    inner = report
    for key in keys[:-1]:
        inner = inner[key]
    if value is None:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    path.write_text(json.dumps(report))


def test_texts_agree_with_the_files(figures: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert figures.main(["--check"]) == 0, capsys.readouterr()


@pytest.mark.parametrize(
    ("file", "keys", "value", "named"),
    [
        ("hy_worldplay_h200.json", ("steady", 6, "chunk_ms"), 701.3, "hy.table"),
        ("hy_worldplay_h200.json", ("rollouts", 1, "generate_s"), 9.0, "hy.rollouts"),
        ("matrix_game_3_h200.json", ("original", 0, "clip_ms"), 2000.0, "matrix.table, matrix.text"),
        ("agents_pointgoal.json", ("table", "detour", "mapper in freedoom all", "spl", "mean"), 0.123, "agents.short"),
        ("freedoom_throughput_cpu.json", ("cells", 0, "frames_per_second"), 99.9, "throughput.cpu"),
        ("freedoom_fidelity.json", ("bars", 0, "value"), 11.1, "fidelity"),
        ("published.json", ("hy_worldplay", "rows", 0, "chunk_ms"), 6000, "hy.table, hy.rollouts"),
        ("kernels/block_sparse_attention_h200.json", ("cases", 0, "density"), 0.5, "kernels.table"),
    ],
)
def test_a_changed_value_is_noticed_and_written(
    figures: Any,
    copy: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
    keys: tuple[Any, ...],
    value: Any,
    named: str,
) -> None:
    root = ["--root", str(copy)]
    change(copy / "benchmarks" / file, *keys, value=value)
    assert figures.main(["--check", *root]) == 1
    assert named in capsys.readouterr().out
    before = {path: path.read_text() for path in figures.texts(copy)}
    assert figures.main(root) == 0
    assert any(path.read_text() != text for path, text in before.items())
    capsys.readouterr()
    assert figures.main(["--check", *root]) == 0
    assert capsys.readouterr().out == ""


def test_a_changed_text_is_noticed(figures: Any, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copy / "docs/tasks.md"
    before = path.read_text()
    path.write_text(before.replace("| seeker (scripted) | 0.", "| seeker (scripted) | 9."))
    assert path.read_text() != before
    assert figures.main(["--check", "--root", str(copy)]) == 1
    assert capsys.readouterr().out == "docs/tasks.md: agents.short\n"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "benchmarks/flat_cost_h200.json").unlink(), "flat_cost_h200.json: No such file"),
        (lambda root: (root / "benchmarks/flat_cost_h200.json").write_text("{"), "flat_cost_h200.json: not JSON"),
        (lambda root: change(root / "benchmarks/freedoom_cpu.json", "frames_per_second", value=None), "per_second"),
        (lambda root: change(root / "benchmarks/hy_worldplay_h200.json", "steady", value=None), "steady is missing"),
        (lambda root: change(root / "benchmarks/landed.json", "freedoom_cpu.json", value=None), "no provenance"),
        (lambda root: (root / "docs/x.md").write_text("<!-- figure no.such -->1<!-- /figure -->"), "'no.such' is"),
        (lambda root: (root / "docs/x.md").write_text("<!-- figure flat -->1"), "begin and end in turn"),
        (lambda root: (root / "docs/x.md").write_text("<!-- /figure --> <!-- figure flat -->"), "end in turn"),
        (lambda root: (root / "docs/x.md").write_text("<!-- figure flat -->" * 2 + "<!-- /figure -->" * 2), "in turn"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_change_nothing(
    figures: Any, copy: Path, capsys: pytest.CaptureFixture[str], spoil: Any, message: str
) -> None:
    spoil(copy)
    before = {path: path.read_text() for path in figures.texts(copy)}
    assert figures.main(["--root", str(copy)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and len(error) < 400
    assert before == {path: path.read_text() for path in figures.texts(copy)}


def outside(text: str, figures: Any) -> str:
    """``text`` without figures, code blocks and code."""
    text = figures.MARKER.sub("", text)
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def unmarked(text: str, figures: Any) -> list[str]:
    """Numbers with a unit of measurement outside figures: in sentences, and in cells of tables of such."""
    plain = outside(text, figures)
    found = [match[0] for match in MEASURED.finditer(plain)]
    for block in re.findall(r"(?:^\|.*\n?)+", plain, re.MULTILINE):
        header, *rows = block.splitlines()
        columns = [bool(TABLE_OF_MEASURES.search(cell)) for cell in header.split("|")]
        for row in rows:
            cells = zip(columns, row.split("|"), strict=False)
            found += [cell.strip() for measure, cell in cells if measure and re.search(r"\d", cell)]
    return found


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES, ROOT / "benchmarks/README.md"])
def test_no_measured_number_stands_outside_a_figure(figures: Any, path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    allowed = ALLOWED.get(name, {})
    found = unmarked(path.read_text(), figures)
    assert [number for number in found if number not in allowed] == []
    assert set(allowed) <= set(found), "what is no longer there needs no permission"


@pytest.mark.parametrize(
    "text",
    [
        "It makes 8,100 frames/s.", "within 0.1 dB at most", "a speed-up of 1.4", "0.70 s exploring", "takes 710 ms",
        "3.6 times as fast", "2 x faster", "34.0 dB", "565 TFLOP/s", "22.8 GiB", "44.5 and 47.9 dB",
        "SPL 0.70 and 0.71",
        "| | success |\n|---|---|\n| random | 0.12 |\n", "| worlds | frames/s |\n|---|---|\n| 1 | 368 |\n",
        "`off` reaches 5.9 frames/s", "success 0.88",
    ],
)  # fmt: skip
def test_unmarked_numbers_are_seen(figures: Any, text: str) -> None:
    assert unmarked(text, figures)
    assert not unmarked(f"<!-- figure flat -->{text}<!-- /figure -->", figures)


@pytest.mark.parametrize(
    "text",
    ["16 chunks of 4 latents", "goals 4 to 12 m away", "turns of 15 degrees", "`--seconds 3 s`", "```\n5 ms\n```\n",
     "512 worlds", "5B weights, 16.6 GB", "| keys | a |\n|---|---|\n| w | 12 |\n", "in 2 steps", "version 1.2.2"],
)  # fmt: skip
def test_other_numbers_are_not(figures: Any, text: str) -> None:
    assert not unmarked(text, figures)


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES, ROOT / "benchmarks/README.md"])
def test_comments_do_not_break_the_page(path: Path) -> None:
    """Refuse text beside a comment at the beginning of a line: in Markdown the comment ends a paragraph there."""
    for line in path.read_text().splitlines():
        if re.match(r"\s{0,3}<!-- /?figure", line):
            assert re.fullmatch(r"<!-- (figure \S+|/figure) -->", line), line


def test_files_from_before_landed_with_these_commits(figures: Any) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("needs the repository")
    recorded = import_module("figure_tools").Recorded(ROOT / "benchmarks")
    files = import_module("figures_files")
    for name, old in recorded.get("landed.json").items():
        if any(facts is None for _, facts in files.origins(recorded, name)):
            log = ["git", "-C", ROOT, "log", "--format=%h %as", "--", f"benchmarks/{name}"]
            lines = subprocess.run(log, capture_output=True, text=True, check=True).stdout.split("\n")
            if len(lines) > 1 and not (ROOT / ".git/shallow").exists():
                assert any(line.split()[1:] == [old["date"]] and line.startswith(old["commit"][:7]) for line in lines)


def test_every_commit_of_the_table_is_part_of_the_history() -> None:
    """Ask for ancestors of HEAD: what a rebase left behind lies in the clone that made it, and in no other."""
    if not (ROOT / ".git").exists() or (ROOT / ".git/shallow").exists():
        pytest.skip("needs the whole repository")
    table = (ROOT / "benchmarks/README.md").read_text().split("<!-- figure files -->")[1].split("<!-- /figure -->")[0]
    rows = [row.split("|") for row in table.strip().splitlines()]
    commits = {commit for row in rows for commit in re.findall(r"\b[0-9a-f]{7}\b", row[3])}
    assert len(commits) > 5
    for commit in commits:
        ancestor = ["git", "-C", ROOT, "merge-base", "--is-ancestor", commit, "HEAD"]
        assert subprocess.run(ancestor, capture_output=True, check=False).returncode == 0, commit


def test_a_rebased_file_names_the_commit_it_landed_with() -> None:
    code = import_module("figures_files").code
    facts = {"commit": "6eca0211a70c13ccfa5344e1fd3dca6fbf39dd22", "clean": True}
    assert code(facts, {"commit": "45a4ce6", "rebased": "6eca021"}) == "before a rebase; landed with 45a4ce6"
    assert code(facts, {}) == "6eca021"


def test_code_that_quotes_measurements(figures: Any) -> None:
    """Compare what constants of the worlds claim with what the files say."""
    from li_env.worlds.freedoom.sizes import SMALL
    from li_env.worlds.hy_worldplay import world as hy_worldplay

    recorded = import_module("figure_tools").Recorded(ROOT / "benchmarks")
    median = {
        row["context"]: row["milliseconds"] for row in recorded.get("freedoom_sparse_crossover.json", "quartiles")
    }
    for context, times in median.items():
        for tile in set(times) - {"dense"}:
            dearer = times[tile][1] > times["dense"][1]
            assert dearer == (context < SMALL.sparse_min_context), (context, tile)
    calls = recorded.get("hy_worldplay_h200.json", "calls")
    for context in {row["context"] for row in calls}:
        dense, sparse = (recorded.pick("hy_worldplay_h200.json", "calls", context=context, attention=kind)["chunk_ms"]
                         for kind in ("dense", "sparse"))  # fmt: skip
        assert sparse < dense
    assert min(row["context"] for row in calls) == hy_worldplay.SPARSE_MIN_CONTEXT
    kernels = recorded.get("matrix_game_3_h200.json", "kernels", "off")
    assert kernels["dense attention"] / kernels["all kernels"] > 1 / 3


def test_recorded_anew_needs_no_hand(figures: Any, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files as the scripts write them now: provenance, whole or by part, other policies, pictures, earlier hosts."""
    facts = {
        "command": "python benchmarks/x.py", "commit": "0123456789" * 4, "clean": False, "date": "2026-12-01 10:00",
        "gpus": ["NVIDIA H200"], "cpu": "Some CPU", "cpus": 16, "versions": {},
    }  # fmt: skip
    folder = copy / "benchmarks"
    change(folder / "hy_worldplay_h200.json", "provenance", value={"calls": facts, "steady": facts})
    for name in ("matrix_game_3_h200.json", "agents_pointgoal.json", "freedoom_presets_h200.json"):
        change(folder / name, "provenance", value=facts)
    throughput = json.loads((folder / "freedoom_throughput_h200.json").read_text())
    earlier = [{key: throughput[key] for key in ("device", "cells")}]
    of_512 = {"preset": "off", "worlds": 512, "observations": "device"}
    (before,) = [cell["frames_per_second"] for cell in throughput["cells"] if of_512.items() <= cell.items()]
    cells = [cell | {"frames_per_second": cell["frames_per_second"] / 2} for cell in throughput["cells"]]
    pictures = {"against": "the plain model", "chunks": 2, "least_allowed": 30.0, "same": True,
                "batches": [{"worlds": 1, "preset": "off", "lowest_psnr": 41.25, "pooled_psnr": 45.0}]}  # fmt: skip
    (folder / "freedoom_throughput_h200.json").write_text(
        json.dumps(throughput | {"provenance": facts, "cells": cells, "earlier": earlier, "pictures": pictures})
    )
    policies = json.loads((folder / "freedoom_memory_policies_h200.json").read_text())
    rows = policies["rows"]
    for row in rows:
        row["game"] = dict.fromkeys(row["game"])  # recorded without the game
    (folder / "freedoom_memory_policies_h200.json").write_text(
        json.dumps(policies | {"provenance": facts, "policies": {}, "rows": rows})
    )
    assert figures.main(["--root", str(copy)]) == 0, capsys.readouterr()
    text = " ".join((folder / "README.md").read_text().split())
    assert "`hy_worldplay_h200.json`: `calls`, `steady` |" in text and "`hy_worldplay_h200.json`: other parts |" in text
    assert "| 0123456, changed | NVIDIA H200 | 2026-12-01 |" in text and "damaged" not in text
    made = f"{before / 2:,.0f} to {before:,.0f}"
    assert f"on 2 machines with an H200, 512 envs made {made}" in text and "41.2 dB, 30 or more" in text
    assert "dB to the game (mean" not in text.split("How much memory")[1].split("<!--")[0]
    assert f"(2 hosts) | {made} frames/s" in (copy / "README.md").read_text()
