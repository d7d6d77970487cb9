from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from li_env.agents.config import read_config
from li_env.agents.macro_actions import MacroActions
from li_env.agents.ppo.action_history import add_action, add_bump, empty_history
from li_env.agents.ppo.config import PPOConfig
from li_env.agents.ppo.macro_env import MacroActionVecEnv
from li_env.agents.ppo.policy import PolicyAgent
from li_env.agents.ppo.train import train
from li_env.episodes import open_episodes
from li_env.rollouts import View
from li_env.sb3 import SB3VecEnv
from li_env.vector_env import LightInteractionVectorEnv
from tests.analytic_world import AnalyticWorld

TINY = PPOConfig(
    world="analytic", steps=32, worlds=4, horizon=4, batch_size=8, epochs=1, max_episode_steps=5, snapshots=2
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("agent")
    entries = []
    train(TINY, folder, world=AnalyticWorld(), device="cpu", on_update=entries.append)
    return folder, entries


def log(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_training_leaves_an_agent_its_log_and_snapshots(trained):
    folder, entries = trained
    assert entries == log(folder)
    assert [entry["steps"] for entry in entries] == [16, 32]
    assert [entry["frames"] for entry in entries] == [64, 128]
    assert entries[-1]["episodes"] > 0
    assert {"return", "length", "success", "spl", "soft_spl"} <= entries[-1].keys()
    assert json.loads((folder / "agent.json").read_text())["steps"] == 32
    assert sorted(path.name for path in (folder / "snapshots").iterdir())[-1] == "000000032.safetensors"
    assert not list(folder.glob("**/*.tmp"))


def test_the_agent_acts_as_the_policy_that_was_trained(trained):
    folder, _ = trained
    runner = open_episodes(AnalyticWorld(), action_space="continuous", observation="frame", task="pointgoal")
    macro_actions = MacroActions(runner.actions.space, True)
    states = runner.start([np.random.default_rng(k) for k in range(3)], [{}] * 3)

    def views() -> list[View]:
        generators = [np.random.default_rng([5, k]) for k in range(3)]
        return [
            View(runner.observation(state), runner.info(state), state, generator=generator)
            for state, generator in zip(states, generators, strict=True)
        ]

    agents = [PolicyAgent.load(folder, runner.observation_space, macro_actions, seed) for seed in (0, 0, None)]
    first, second, greedy = (agent.act(views())[0] for agent in agents)
    np.testing.assert_array_equal(first, second)
    assert all(action in runner.actions.space for action in [*first, *greedy])
    for agent, together in ((agents[0], first), (agents[2], greedy)):
        np.testing.assert_array_equal([agent.act([view])[0][0] for view in views()], together)


def test_what_ppo_sees_is_what_the_agent_sees_later(tmp_path):
    """Compare the history in the vector environment with the one of `PolicyAgent`."""
    inner = LightInteractionVectorEnv(
        2,
        max_episode_steps=3,
        autoreset_mode="SameStep",
        world=AnalyticWorld(),
        action_space="continuous",
        observation="frame",
        task="pointgoal",
    )
    macro_actions = MacroActions(inner.single_action_space, True)
    venv = MacroActionVecEnv(SB3VecEnv(inner), macro_actions)
    venv.seed(0)
    shown = venv.reset()
    histories, bumps = [empty_history(macro_actions)] * 2, []
    for step, choices in enumerate(([0, 4], [0, 1], [0, 2], [0, 0])):
        before = [{"pointgoal": shown["pointgoal"][env]} for env in range(2)]
        shown, _, dones, infos = venv.step(np.array(choices))
        made = [add_action(*triple) for triple in zip(histories, before, choices, strict=True)]
        histories = [add_bump(history, info["blocked"]) for history, info in zip(made, infos, strict=True)]
        bumps += [info["blocked"] for info in infos]
        assert dones.all() == (step == 2)
        if step == 2:
            for env in range(2):
                np.testing.assert_array_equal(infos[env]["terminal_observation"]["history"], histories[env].ravel())
            histories = [empty_history(macro_actions)] * 2
        np.testing.assert_array_equal(shown["history"], [history.ravel() for history in histories])
    assert max(bumps) > 0.3


def test_a_training_goes_on_where_it_stopped(trained, tmp_path):
    source, _ = trained
    for path in source.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = torch.load(tmp_path / "optimizer.pt", weights_only=True)
    assert weights["state"]
    train(replace(TINY, steps=64), tmp_path, world=AnalyticWorld(), device="cpu")
    assert [entry["steps"] for entry in log(tmp_path)] == [16, 32, 48, 64]
    train(replace(TINY, steps=64), tmp_path, world=AnalyticWorld(), device="cpu")
    assert len(log(tmp_path)) == 4, "nothing was left to do"


def test_an_agent_of_another_configuration_is_not_continued(trained):
    with pytest.raises(ValueError, match="holds an agent with another worlds, seed; use another folder"):
        train(replace(TINY, worlds=2, seed=1, steps=64, snapshots=9), trained[0], world=AnalyticWorld(), device="cpu")


def test_stop_is_rare_at_first(tmp_path):
    train(replace(TINY, horizon=8), tmp_path, world=AnalyticWorld(), device="cpu")
    assert log(tmp_path)[0]["length"] > 4


def test_cloning_needs_maps(tmp_path):
    with pytest.raises(ValueError, match="cloning_steps=16 needs a dataset that names its maps"):
        train(replace(TINY, cloning_steps=16), tmp_path, world=AnalyticWorld(), device="cpu")


def test_cloning_comes_first_and_counts(tmp_path):
    pytest.importorskip("vizdoom")
    config = replace(TINY, world="freedoom_game", cloning_steps=16)
    train(config, tmp_path, device="cpu")
    entries = log(tmp_path)
    cloned, trained = [entry["steps"] for entry in entries]
    assert 16 <= cloned < 16 + 4 * 5 and trained == cloned + 16
    assert "agreement" in entries[0]
    assert "episodes" in entries[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stepz: 3", r"agent.yaml: key='stepz' is unknown \(did you mean 'steps'\?\)"),
        ("steps: 0", "steps=0 is not allowed; use a whole number from 1 to"),
        ("gamma: 2", "gamma=2 is not allowed; use a number from 0 to 1"),
        ("cloning_steps: -1", "cloning_steps=-1 is not allowed"),
        ("worlds: 1\nhorizon: 1", "worlds=1 with horizon=1 is not allowed"),
        ("- 1", "use a mapping of keys to values"),
        ("a: [", "not YAML"),
    ],
)
def test_mistakes_in_a_configuration_are_named(tmp_path, text, message):
    (tmp_path / "agent.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_config(tmp_path / "agent.yaml")


def test_the_shipped_configuration_has_every_key():
    from importlib.resources import files

    import yaml

    text = (files("li_env.configs") / "agents" / "pointgoal.yaml").read_text()
    assert PPOConfig(**yaml.safe_load(text)) == PPOConfig()


def test_an_agent_that_is_not_there_or_of_another_task_is_named(trained, tmp_path):
    explore = open_episodes(AnalyticWorld(), action_space="continuous", observation="frame")
    with pytest.raises(ValueError, match="has no policy.safetensors"):
        PolicyAgent.load(tmp_path, explore.observation_space, MacroActions(explore.actions.space, False))
    with pytest.raises(ValueError, match="learning agents need a goal task"):
        PolicyAgent.load(trained[0], explore.observation_space, MacroActions(explore.actions.space, False))
    image = open_episodes(AnalyticWorld(), action_space="continuous", observation="frame", task="imagegoal")
    with pytest.raises(ValueError, match="does not fit this task"):
        PolicyAgent.load(trained[0], image.observation_space, MacroActions(image.actions.space, True))
