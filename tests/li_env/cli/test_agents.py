"""``li-env build episodes``, ``train agent`` and ``evaluate agent``, from the command line to the files."""

from __future__ import annotations

import json

import pytest

from li_env.cli import main
from li_env.tasks import EpisodeDataset

CONFIG = """\
world: analytic
steps: 32
worlds: 2
horizon: 8
batch_size: 8
epochs: 1
max_episode_steps: 4
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "agent.yaml"
    path.write_text(CONFIG)
    return path


def test_an_agent_is_trained_goes_on_and_is_evaluated(config, tmp_path, capsys):
    out = str(tmp_path / "agent")
    assert main(["train", "agent", "--config", str(config), "--out", out, "--device", "cpu"]) == 0
    assert main(["train", "agent", "--config", str(config), "--out", out, "--device", "cpu", "--steps", "48"]) == 0
    assert json.loads((tmp_path / "agent" / "agent.json").read_text())["steps"] == 48
    assert f"agent for --agent: {out}" in capsys.readouterr().out
    result = str(tmp_path / "result.json")
    words = ["--world", "analytic", "--episodes", "3", "--max-steps", "4", "--device", "cpu", "--out", result]
    assert main(["evaluate", "agent", "--agent", out, *words]) == 0
    shown = capsys.readouterr().out
    assert "success" in shown and "3 episodes in analytic" in shown
    data = json.loads((tmp_path / "result.json").read_text())
    assert len(data["episodes"]) == 3
    assert data["summary"]["steps"]["mean"] <= 4


@pytest.mark.parametrize("agent", ["random", "seeker"])
def test_scripted_agents_are_evaluated_by_name(agent, capsys):
    words = ["--agent", agent, "--world", "analytic", "--episodes", "2", "--max-steps", "3"]
    assert main(["evaluate", "agent", *words]) == 0
    assert "2 episodes in analytic" in capsys.readouterr().out


@pytest.mark.parametrize("agent", ["random", "planner"])
def test_the_batch_of_an_evaluation_changes_nothing(agent, tmp_path):
    words = ["--agent", agent, "--world", "analytic", "--episodes", "3", "--max-steps", "2", "--out"]
    for batch in ("1", "2", "64"):
        assert main(["evaluate", "agent", *words, str(tmp_path / f"{batch}.json"), "--batch", batch]) == 0
    first, *others = ((tmp_path / f"{batch}.json").read_text() for batch in ("64", "1", "2"))
    assert others == [first, first]


def test_episodes_are_built(tmp_path, capsys):
    pytest.importorskip("vizdoom")
    out = tmp_path / "built" / "episodes.json"
    words = ["--out", str(out), "--split", "validation", "--maps", "2", "--goals", "1", "--starts", "2"]
    assert main(["build", "episodes", *words]) == 0
    data = EpisodeDataset.read(out)
    assert f"{len(data.episodes)} episodes on 2 maps" in capsys.readouterr().out
    assert {episode.map_seed for episode in data.episodes} <= {10_000_000, 10_000_001}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "agent", "--config", "none.yaml", "--out", "x"], "config='none.yaml' is not a file"),
        (["train", "agent", "--config", "CONFIG", "--out", "x", "--world", "fredoom"], "did you mean 'freedoom'"),
        (["train", "agent", "--config", "CONFIG", "--out", "x", "--preset", "fast"], "preset: 'fast' is not known"),
        (["train", "agent", "--config", "CONFIG", "--out", "x", "--steps", "0"], "steps=0 is not allowed"),
        (["train", "agent", "--config", "CONFIG", "--out", "x", "--seed", "-1"], "seed=-1 is not allowed"),
        (["train", "agent", "--config", "CONFIG", "--out", "x", "--workers", "2"], "workers=2 is of use in world"),
        (["train", "agent", "--config", "CONFIG", "--out", "x", "--dataset", "n.json"], "dataset='n.json' is not a"),
        (["evaluate", "agent", "--agent", "nobody", "--world", "analytic"], "'nobody' is unknown; allowed: random"),
        (["evaluate", "agent", "--agent", "random", "--world", "analytic", "--task", "x"], "task='x' is unknown"),
        (["evaluate", "agent", "--agent", "random", "--episodes", "0"], "episodes=0 is not allowed"),
        (["evaluate", "agent", "--agent", "random", "--batch", "0"], "batch=0 is not allowed"),
        (["build", "episodes", "--out", "x.yaml"], "out='x.yaml' is not allowed; use a name that ends in .json"),
        (["build", "episodes", "--out", "x.json", "--maps", "0"], "maps=0 is not allowed; use a whole number from 1"),
        (["build", "episodes", "--out", "x.json", "--maps", "9", "--first", "9999999"], "allowed: 1 to 10,000,000"),
        (["build", "episodes", "--out", "x.json", "--first", "-1"], "first=-1 is not allowed; use a whole number"),
        (["build", "episodes", "--out", "x.json", "--goals", "0"], "goals=0 is not allowed; use a whole number"),
        (["build", "episodes", "--out", "x.json", "--starts", "-2"], "starts=-2 is not allowed; use a whole number"),
        (
            ["build", "episodes", "--out", "x.json", "--near", "9", "--far", "3"],
            "far=3.0 is not allowed; use a number from 9",
        ),
        (["build", "episodes", "--out", "x.json", "--near", "nan"], "near=nan is not allowed; use a number"),
        (["build", "episodes", "--out", "x.json", "--near", "-1"], "near=-1.0 is not allowed; use a number"),
        (["build", "episodes", "--out", "x.json", "--far", "inf"], "far=inf is not allowed; use a number"),
        (["build", "episodes", "--out", "x.json", "--detour", "nan"], "detour=nan is not allowed; use a number"),
        (["build", "episodes", "--out", "x.json", "--detour", "0.5"], "detour=0.5 is not allowed; use a number from 1"),
    ],
)
def test_mistakes_end_with_one_line_and_leave_nothing(words, message, config, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([str(config) if word == "CONFIG" else word for word in words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"agent.yaml", "x"}
    assert not list(tmp_path.glob("x/*.json"))
