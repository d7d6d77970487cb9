"""Behaviour cloning learns what a dataset shows, and the agent plays like any other."""

from __future__ import annotations

import json

import numpy as np
import pytest

from li_env.cli import main

pytest.importorskip("pyarrow", reason="needs the extra data")
from li_env.agents.cloning.config import BCConfig
from li_env.agents.cloning.train import histories, train
from li_env.agents.macro_actions import MacroActions
from li_env.agents.ppo.action_history import add_action, history_of
from li_env.datasets.reading import RecordedDataset
from li_env.env import LightInteractionEnv
from li_env.rollouts import play_episodes
from tests.li_env.datasets.rooms import collected, episode_file


def test_an_agent_learns_from_files_and_plays(tmp_path, capsys):
    data = collected(tmp_path, tmp_path / "data", "--max-steps", "12")
    config = tmp_path / "bc.yaml"
    config.write_text("agent: bc\nepochs: 10\nbatch_size: 8\n")
    words = ["train", "agent", "--config", str(config), "--out", str(tmp_path / "agent"), "--device", "cpu"]
    assert main([*words, "--data", str(data)]) == 0
    log = [json.loads(line) for line in (tmp_path / "agent/log.jsonl").read_text().splitlines()]
    assert len(log) == 10
    assert log[-1]["loss"] < 0.75 * log[0]["loss"]
    play = [
        *("evaluate", "agent", "--agent", str(tmp_path / "agent"), "--world", "room", "--greedy", "--episodes", "12"),
        *("--dataset", str(episode_file(tmp_path)), "--max-steps", "12", "--out", str(tmp_path / "scores.json")),
    ]
    assert main(play) == 0
    assert json.loads((tmp_path / "scores.json").read_text())["summary"]["episodes"] == 12


def test_several_datasets_are_one_and_must_fit(tmp_path):
    """Clone what an expert did and what it says where another one walks."""
    one = collected(tmp_path, tmp_path / "one", "--episodes", "0:3")
    more = ("--episodes", "3:6", "--agent", "random", "--label", "seeker")
    two = collected(tmp_path, tmp_path / "two", *more)
    config = BCConfig(epochs=1, batch_size=8)
    train(config, tmp_path / "agent", [one, two], "cpu")
    decisions = sum(len(RecordedDataset(each, decisions=True)) for each in (one, two))
    assert json.loads((tmp_path / "agent/log.jsonl").read_text())["steps"] == decisions
    film = collected(tmp_path, tmp_path / "film", "--episodes", "0:3", world="film freedoom")
    with pytest.raises(ValueError, match="2 datasets of different frames or actions"):
        train(config, tmp_path / "other", [one, film], "cpu")
    assert not (tmp_path / "other").exists()


def test_the_history_from_files_is_the_one_while_playing(tmp_path):
    """Rows hold enough to rebuild what the agent remembered at each decision."""
    data = collected(tmp_path, tmp_path / "data", "--episodes", "0:4", "--agent", "random")
    dataset = RecordedDataset(data, decisions=True)
    env = LightInteractionEnv("room", "all", "continuous", "frame", task="pointgoal", dataset=episode_file(tmp_path))
    macro_actions = MacroActions(env.action_space, True)
    seen: dict[int, list[np.ndarray]] = {}

    def act(views):
        indices, memories = [], []
        for view in views:
            history = history_of(view, macro_actions)
            seen.setdefault(int(view.info["episode_index"]), []).append(history.ravel())
            indices.append(int(view.generator.integers(len(macro_actions.table))))
            memories.append(add_action(history, view.observation, indices[-1]))
        return macro_actions.actions(indices), memories

    seeds = dataset.manifest["seeds"]
    options = [{"episode": number} for number in range(4)]
    for _ in play_episodes(env, act, options, max_steps=6, seeds=iter(seeds)):
        pass
    played = np.concatenate([np.stack(seen[number]) for number in range(4)])
    np.testing.assert_allclose(histories(macro_actions, dataset), played, atol=1e-6)


def test_bad_input_is_one_line(tmp_path, capsys):
    config = tmp_path / "bc.yaml"
    config.write_text("agent: bc\n")
    words = ["train", "agent", "--config", str(config), "--out", str(tmp_path / "agent")]
    for more, said in ([], "data is missing"), (["--data", str(tmp_path / "none")], "is not a file"), (
        ["--data", str(tmp_path), "--world", "room"], "world is of no use"):  # fmt: skip
        assert main([*words, *more]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert not (tmp_path / "agent").exists()
