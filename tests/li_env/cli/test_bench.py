from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from li_env.accel.costs import CallTimes, CostTable
from li_env.cli import main
from li_env.cli._paper import given
from li_env.cli.bench import Arguments, _command
from li_env.evaluation.paper.settings import PaperSettings
from li_env.worlds.calibration import Calibration, cost_name, keep
from li_env.worlds.registry import register_world
from tests.analytic_world import AnalyticWorld


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """These tensors are so small that threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def bench(out: Path, *options: str) -> int:
    short = ("--world", "analytic", "--trajectories", "left-right", "--seeds", "0", "--repeats", "1", "--chunks", "4")
    return main(["bench", *short, "--out", str(out), *options])


def test_writes_a_report_and_a_plot_and_prints_the_tables(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "220")
    options = ("--presets", "all", "cache", "--sweep", "revisit_similarity=0.5,0.9", "--device", "cpu", "--no-game")
    assert bench(tmp_path / "out", *options) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["bench.json", "sweep_revisit_similarity.png"]
    report = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert [world["world"] for world in report["worlds"]] == ["analytic"]
    labels = ["off", "all", "cache", "all revisit_similarity=0.5", "all revisit_similarity=0.9"]
    assert [row["preset"] for row in report["worlds"][0]["rows"]] == labels * 2
    assert "--presets all cache" in report["command"]
    assert report["command"].endswith("--no-game")
    assert report["settings"]["game"] is False
    text = capsys.readouterr().out
    for words in (*labels, "speed-up", "PSNR, SSIM to off", "revisits", "median (least - most)", "left-right"):
        assert words in text


def test_a_sweep_in_which_nothing_changes_says_so(tmp_path, capsys):
    """Sweep a ratio of block-sparse attention in a world that has none."""
    options = ("--presets", "off", "--sweep", "decode_ratio=0.2,0.5", "sparse:warmup_chunks=1,2", "--device", "cpu")
    assert bench(tmp_path, *options) == 0
    (world,) = json.loads((tmp_path / "bench.json").read_text())["worlds"]
    assert [(sweep["preset"], sweep["key"], sweep["changes"]) for sweep in world["sweeps"]] == [
        ("all", "decode_ratio", False),
        ("sparse", "warmup_chunks", False),
    ]
    text = capsys.readouterr().out
    assert "sweep of decode_ratio in all, analytic: nothing changes, 0.2, 0.5 give the same chunks" in text
    assert bench(tmp_path, "--presets", "off", "--sweep", "context:window_chunks=1,3") == 0
    (world,) = json.loads((tmp_path / "bench.json").read_text())["worlds"]
    assert world["sweeps"][0]["changes"] and "nothing changes" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sweep", "papr:decode_ratio=0.2"), "preset: 'papr' is not known"),
        (("--world", "mars"), "world='mars' is unknown; allowed: "),
        (("--world", "analytic", "analytic"), "use one or more, each once"),
        (("--presets", "al"), "preset: 'al' is not known"),
        (("--trajectories", "spiral"), "trajectory='spiral' is unknown"),
        (("--chunks", "3"), "chunks=3 is not allowed; use 4 or more"),
        (("--repeats", "0"), "repeats=0 is not allowed"),
        (("--seeds", "-1"), "seeds"),
        (("--sweep", "revisit_similarity=2"), "revisit_similarity: 2 is not allowed"),
        (("--device", "tpu"), "device='tpu' is unknown"),
    ],
)
def test_bad_input_exits_2_with_one_line_and_writes_nothing(tmp_path, capsys, options, message):
    assert bench(tmp_path / "out", *options) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_random_weights_are_asked_for_by_name(tmp_path, capsys):
    asked = []

    def load(device, weights, random_weights=False):
        asked.append(random_weights)
        return AnalyticWorld(device)

    register_world("shape", load, "for this test")
    assert bench(tmp_path / "out", "--world", "shape", "--presets", "off", "--random-weights") == 0
    assert asked == [True]
    assert "--random-weights" in json.loads((tmp_path / "out" / "bench.json").read_text())["command"]
    capsys.readouterr()
    assert bench(tmp_path / "other", "--random-weights") == 2
    assert "random_weights=True is not an argument of world 'analytic'" in capsys.readouterr().err


def test_a_file_in_the_way_is_named_before_anything_runs(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert bench(tmp_path / "file" / "out") == 2
    assert "is a file; allowed: a folder" in capsys.readouterr().err


def test_a_failure_while_writing_leaves_the_old_report(tmp_path, monkeypatch, capsys):
    assert bench(tmp_path, "--presets", "off") == 0
    before = (tmp_path / "bench.json").read_bytes()

    def full_disk(path: object, data: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("li_env.evaluation.bench.run.write_json", full_disk)
    assert bench(tmp_path, "--presets", "cache") == 2
    assert "No space left" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"bench.json": before}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--paper", "--presets", "all"), "is not allowed with --paper, which runs every preset"),
        (("--paper", "--prompts", "list"), "prompts='list' needs --images"),
        (("--paper", "--images", "nowhere"), "images=nowhere is no folder"),
        (("--paper", "--perceptual", "LPIPS"), "perceptual='LPIPS' is unknown"),
        (("--images", "nowhere"), "images='nowhere' needs --paper"),
    ],
)
def test_bad_input_of_the_paper_exits_2_with_one_line_and_writes_nothing(tmp_path, capsys, options, message):
    assert bench(tmp_path / "out", *options) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_paper_writes_tables_figures_and_a_report(tmp_path, capsys):
    assert bench(tmp_path / "out", "--paper", "--device", "cpu") == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"paper.json", "tables.md", "pareto.png", "settings.json", "units"} <= names
    assert "## Table 3: one part left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ((), {}),
        (("--chunks", "16", "--repeats", "3", "--seeds", "0", "1"), {"chunks": 16, "repeats": 3, "seeds": (0, 1)}),
        (("--chunks", "10", "--trajectories", "square"), {"chunks": 10, "trajectories": ("square",)}),
    ],
)
def test_the_paper_takes_what_is_given_even_if_it_is_a_default_of_bench(tmp_path, monkeypatch, options, changes):
    asked = []

    def stop(world, settings, *rest):
        asked.append(settings)
        raise ValueError("stopped")

    monkeypatch.setattr("li_env.evaluation.paper.run.paper", stop)
    assert main(["bench", "--paper", "--world", "analytic", "--out", str(tmp_path), *options]) == 2
    assert asked == [PaperSettings(**changes)]


def test_options_that_are_not_given_keep_the_defaults_of_bench():
    assert given(Arguments(), ("presets", "trajectories", "seeds", "repeats", "chunks", "batch")) == {}
    assert _command(Arguments(chunks=16, seeds=(0, 1))) == "li-env bench --seeds 0 1 --chunks 16"


def test_a_report_says_what_environments_leave_out(tmp_path, capsys):
    class Flat(AnalyticWorld):
        """World whose calls take equally long for any context."""

        costs = CostTable((2, 4), (CallTimes(1, (4, 20), ((10.0, 20.0), (10.0, 20.0))),))

    register_world("flat", lambda device, weights: Flat(device), "for this test")
    name = cost_name(Flat())
    keep("flat", Calibration(costs={name: Flat.costs}), tmp_path / "cache" / "calibration" / "flat.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LI_ENV_CACHE", str(tmp_path / "cache"))
        assert bench(tmp_path, "--world", "flat", "--presets", "all", "off") == 0
    (world,) = json.loads((tmp_path / "bench.json").read_text())["worlds"]
    rows = world["cost_model"]["rows"]
    assert [(row["preset"], row["environments"]) for row in rows] == [("all", n) for n in (1, 8, 32, 128, 512, 1024)]
    assert all(row["left_out"] == row["left_out_in_scans"] == ["context"] for row in rows)
    assert rows[0]["milliseconds"]["plain"] == pytest.approx(20.0)
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "environments leave out of all what saves no time on this device: the shorter context at any number; "
        "in scans the shorter context at any number"
    ) in printed
    assert bench(tmp_path, "--presets", "off") == 0
    assert "no cost table of this device is known (li-env calibrate cost --world analytic)" in capsys.readouterr().out
