"""Acceleration settings of one's own on every command line that takes a preset."""

from __future__ import annotations

import json

import pytest

from li_env.cli import main

OWN = {"memory": "coverage", "memory_groups": 1, "warmup_chunks": 1}
TEXT = "{memory: coverage, memory_groups: 1, warmup_chunks: 1}"


@pytest.fixture(params=["file", "text"])
def preset(request, tmp_path):
    """(what is typed, the name that reports use)."""
    if request.param == "text":
        return TEXT, "custom"
    (tmp_path / "mine.yaml").write_text("\n".join(f"{key}: {value}" for key, value in OWN.items()))
    return str(tmp_path / "mine.yaml"), "mine"


def test_rollout(preset, tmp_path):
    typed, name = preset
    words = ["--world", "analytic", "--trajectory", "w-3", "--out", str(tmp_path / "out"), "--compare", typed]
    assert main(["rollout", *words, "--preset", typed]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["preset"] == name == report["compare"]["preset"]
    assert {key: report["settings"][key] for key in OWN} == OWN


def test_bench(preset, tmp_path):
    typed, name = preset
    words = ["--world", "analytic", "--trajectories", "left-right", "--seeds", "0", "--repeats", "1", "--chunks", "4"]
    words += ["--out", str(tmp_path / "out"), "--device", "cpu", "--no-game"]
    assert main(["bench", *words, "--presets", "all", typed]) == 0
    report = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert {row["preset"] for row in report["worlds"][0]["rows"]} == {"off", "all", name}


def test_evaluate_agent(preset):
    words = ["--agent", "seeker", "--world", "analytic", "--episodes", "1", "--max-steps", "2"]
    assert main(["evaluate", "agent", *words, "--preset", preset[0]]) == 0


def test_train_agent_stores_the_settings_and_not_the_name_of_a_file(preset, tmp_path):
    config = tmp_path / "agent.yaml"
    config.write_text("world: analytic\nsteps: 4\nworlds: 2\nhorizon: 2\nbatch_size: 4\nepochs: 1\nsnapshots: 1\n")
    words = ["--config", str(config), "--out", str(tmp_path / "agent"), "--device", "cpu", "--preset", preset[0]]
    assert main(["train", "agent", *words]) == 0
    stored = json.loads((tmp_path / "agent" / "agent.json").read_text())["config"]["preset"]
    assert {key: stored[key] for key in OWN} == OWN
    assert main(["train", "agent", *words, "--steps", "8"]) == 0  # and it goes on


@pytest.mark.parametrize(
    ("command", "flag"), [("rollout", "--preset"), ("bench", "--presets"), ("evaluate agent", "--preset")]
)
@pytest.mark.parametrize("typed", ["{memori: 1}", "{memory: near}", "none.yaml", "{", "[off]"])
def test_mistakes_are_one_line(command, flag, typed, tmp_path, capsys):
    needed = {"rollout": ["--trajectory", "w-3"], "bench": [], "evaluate agent": ["--agent", "seeker"]}[command]
    words = [*command.split(), *needed, "--world", "analytic", flag, typed, "--out", str(tmp_path / "out")]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and len(error) <= 500
    assert not (tmp_path / "out").exists()


def test_two_presets_of_one_name_are_refused(tmp_path, capsys):
    assert main(["bench", "--world", "analytic", "--presets", TEXT, "{memory_groups: 1}"]) == 2
    assert "two are called 'custom'" in capsys.readouterr().err
