from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from li_env.agents.config import read_config
from li_env.agents.macro_actions import MacroActions
from li_env.agents.ppo.config import PPOConfig
from li_env.agents.ppo.learner import PPOLearner
from li_env.agents.ppo.policy import PolicyAgent
from li_env.agents.ppo.train import train
from li_env.episodes import open_episodes
from li_env.rollouts import View
from li_env.tasks import EpisodeDataset, EpisodeRecord
from li_env.tensor_files import read_tensors
from li_env.vector_env import LightInteractionVectorEnv
from tests.analytic_world import AnalyticWorld

TINY = PPOConfig(
    world="analytic", steps=32, worlds=4, horizon=4, batch_size=8, epochs=1, max_episode_steps=5, saves=1, snapshots=2
)
FULL = {"recurrent": True, "symmetric": True, "colours": 0.2, "bump_weight": 0.1}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("agent")
    entries = []
    train(TINY, folder, world=AnalyticWorld(), device="cpu", on_update=entries.append)
    return folder, entries


def log(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def same_training(one, other) -> None:
    """Compare the files of two trainings bit for bit, but for the clock."""
    for name in ("policy.safetensors", "optimizer.safetensors"):
        first, second = (read_tensors(folder / name) for folder in (one, other))
        assert first.keys() == second.keys()
        assert all(torch.equal(tensor, second[key]) for key, tensor in first.items())
    first, second = ([{**entry, "seconds": 0} for entry in log(folder)] for folder in (one, other))
    assert first == second


def test_a_training_leaves_an_agent_its_log_and_snapshots(tmp_path):
    entries = []
    train(replace(TINY, saves=2), tmp_path, world=AnalyticWorld(), device="cpu", on_update=entries.append)
    assert entries == log(tmp_path)
    assert [entry["steps"] for entry in entries] == [16, 32]
    assert [entry["frames"] for entry in entries] == [64, 128]
    assert entries[-1]["episodes"] > 0
    assert {"return", "length", "success", "spl", "soft_spl", "distance_to_goal"} <= entries[-1].keys()
    assert {"loss", "entropy", "value_loss", "divergence"} <= entries[-1].keys()
    assert json.loads((tmp_path / "agent.json").read_text())["steps"] == 32
    assert sorted(path.name for path in (tmp_path / "snapshots").iterdir()) == [
        "000000016.safetensors", "000000032.safetensors",
    ]  # fmt: skip
    assert not list(tmp_path.glob("**/*.tmp"))


@pytest.mark.parametrize("more", [{}, {"recurrent": True}, {"recurrent": True, "symmetric": True}])
def test_the_agent_acts_as_the_policy_that_was_trained(tmp_path, more):
    train(replace(TINY, **more), tmp_path, world=AnalyticWorld(), device="cpu")
    runner = open_episodes(AnalyticWorld(), action_space="continuous", observation="frame", task="pointgoal")
    macro_actions = MacroActions(runner.actions.space, True)
    states = runner.start([np.random.default_rng(k) for k in range(3)], [{}] * 3)

    def views(memories=(None, None, None)) -> list[View]:
        generators = [np.random.default_rng([5, k]) for k in range(3)]
        return [
            View(runner.observation(state), runner.info(state), state, memory, generator)
            for state, memory, generator in zip(states, memories, generators, strict=True)
        ]

    agents = [PolicyAgent.load(tmp_path, runner.observation_space, macro_actions, seed) for seed in (0, 0, None)]
    (first, memories), (second, _), (greedy, _) = (agent.act(views()) for agent in agents)
    np.testing.assert_array_equal(first, second)
    assert all(action in runner.actions.space for action in [*first, *greedy])
    assert any(memory[1].any() for memory in memories) == bool(more), "only a recurrent agent remembers"
    for agent, together in ((agents[0], first), (agents[2], greedy)):
        np.testing.assert_array_equal([agent.act([view])[0][0] for view in views()], together)
    later = agents[0].act(views(memories))[0]
    np.testing.assert_array_equal([agents[0].act([view])[0][0] for view in views(memories)], later)


@pytest.mark.parametrize("more", [{}, FULL])
def test_an_interrupted_training_gives_the_same_agent(tmp_path, more):
    config = replace(TINY, steps=96, saves=2, snapshots=3, **more)
    train(config, tmp_path / "whole", world=AnalyticWorld(), device="cpu")

    def interrupt(entry):
        if entry["steps"] == 80:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "halves", world=AnalyticWorld(), device="cpu", on_update=interrupt)
    assert json.loads((tmp_path / "halves/agent.json").read_text())["steps"] == 64
    train(config, tmp_path / "halves", world=AnalyticWorld(), device="cpu")
    same_training(tmp_path / "whole", tmp_path / "halves")
    seconds = [entry["seconds"] for entry in log(tmp_path / "halves")]
    assert seconds == sorted(seconds), "the clock goes on"


@pytest.mark.parametrize("more", [{}, FULL])
def test_groups_in_flight_learn_what_groups_learn_that_step_one_after_the_other(tmp_path, monkeypatch, more):
    """Compare weights and logs; in the second training a step is finished before the other group begins its own."""
    config, order = replace(TINY, worlds=5, in_flight=2, steps=80, saves=2, **more), []
    begin, finish = LightInteractionVectorEnv.step_async, LightInteractionVectorEnv.step_wait

    def begun(env, actions):
        order.append(("begin", env.num_envs))
        begin(env, actions)

    def finished(env):
        order.append(("finish", env.num_envs))
        return finish(env)

    with monkeypatch.context() as patch:
        patch.setattr(LightInteractionVectorEnv, "step_async", begun)
        patch.setattr(LightInteractionVectorEnv, "step_wait", finished)
        train(config, tmp_path / "in flight", world=AnalyticWorld(), device="cpu")
    assert order[:6] == [("begin", 3), ("begin", 2), ("finish", 3), ("begin", 3), ("finish", 2), ("begin", 2)]
    done = {}
    with monkeypatch.context() as patch:

        def whole(env, actions):
            begin(env, actions)
            done[env] = finish(env)

        patch.setattr(LightInteractionVectorEnv, "step_async", whole)

        def told(env):
            return done.pop(env)

        patch.setattr(LightInteractionVectorEnv, "step_wait", told)
        train(config, tmp_path / "in turn", world=AnalyticWorld(), device="cpu")
    same_training(tmp_path / "in flight", tmp_path / "in turn")


def test_a_training_out_of_time_ends_at_its_next_save(tmp_path, monkeypatch):
    config, clock = replace(TINY, steps=96, saves=2), [0.0]
    monkeypatch.setattr("li_env.agents.ppo.train.time", SimpleNamespace(monotonic=lambda: clock[0]))
    train(config, tmp_path, world=AnalyticWorld(), device="cpu", max_seconds=0)
    assert not (tmp_path / "agent.json").exists()

    def slow(entry):
        clock[0] += 60

    train(config, tmp_path, world=AnalyticWorld(), device="cpu", on_update=slow, max_seconds=30)
    assert json.loads((tmp_path / "agent.json").read_text())["steps"] == 32
    train(config, tmp_path, world=AnalyticWorld(), device="cpu")
    assert [entry["steps"] for entry in log(tmp_path)] == [16, 32, 48, 64, 80, 96]


def test_a_finished_training_has_nothing_left_to_do(trained):
    before = (trained[0] / "policy.safetensors").read_bytes()
    train(TINY, trained[0], world=AnalyticWorld(), device="cpu")
    assert len(log(trained[0])) == 2
    assert (trained[0] / "policy.safetensors").read_bytes() == before


def test_an_agent_of_another_configuration_is_not_continued(trained):
    with pytest.raises(ValueError, match="holds an agent with another worlds, seed; use another folder"):
        train(replace(TINY, worlds=2, seed=1, steps=64, snapshots=9), trained[0], world=AnalyticWorld(), device="cpu")


def test_a_training_that_degenerates_keeps_the_last_good_agent(tmp_path, monkeypatch):
    update, calls = PPOLearner.update, []

    def poisoned(self, rollout, *rest):
        calls.append(rollout)
        if len(calls) == 2:
            rollout.advantages[0, 0] = float("nan")
        return update(self, rollout, *rest)

    monkeypatch.setattr(PPOLearner, "update", poisoned)
    with pytest.raises(ValueError, match=r"degenerates at step 16: loss nan.*keeps the agent of step 16; try a lower"):
        train(TINY, tmp_path, world=AnalyticWorld(), device="cpu")
    assert json.loads((tmp_path / "agent.json").read_text())["steps"] == 16
    weights = read_tensors(tmp_path / "policy.safetensors")
    assert all(bool(torch.isfinite(tensor).all()) for tensor in weights.values())


def test_stop_is_rare_at_first(tmp_path):
    train(replace(TINY, horizon=8), tmp_path, world=AnalyticWorld(), device="cpu")
    assert log(tmp_path)[0]["length"] > 4


def test_explore_has_a_trainer(tmp_path):
    train(replace(TINY, task="explore", saves=2), tmp_path, world=AnalyticWorld(), device="cpu")
    assert log(tmp_path)[-1]["seen_area"] > 0
    runner = open_episodes(AnalyticWorld(), action_space="continuous", observation="frame")
    agent = PolicyAgent.load(tmp_path, runner.observation_space, MacroActions(runner.actions.space, False))
    (state,) = runner.start([np.random.default_rng(0)], [{}])
    actions, _ = agent.act([View(runner.observation(state), runner.info(state), state)])
    assert actions[0] in runner.actions.space


def test_imagegoal_is_learned_from_the_picture_of_the_goal(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (2, 96, 128, 3), np.uint8)
    records = tuple(EpisodeRecord(0, (0.0, 0.0, 0.0), (1.0, 2.0 - k, 0.0), goal_frame=k) for k in range(2))
    goals = EpisodeDataset(records, {"goal": frames})
    train(replace(TINY, task="imagegoal", recurrent=True, saves=2), tmp_path, goals, AnalyticWorld(), "cpu")
    assert {"success", "spl"} <= log(tmp_path)[-1].keys()
    runner = open_episodes(
        AnalyticWorld(), action_space="continuous", observation="frame", task="imagegoal", dataset=goals
    )
    agent = PolicyAgent.load(tmp_path, runner.observation_space, MacroActions(runner.actions.space, True))
    assert "pointgoal" not in runner.observation_space.spaces
    states = runner.start([np.random.default_rng(0)] * 2, [{"episode": k} for k in range(2)])
    views = [View(runner.observation(state), runner.info(state), state) for state in states]
    memories = [memory[1] for memory in agent.act(views)[1]]
    assert not np.array_equal(*memories), "the goal's picture counts"


def test_an_agent_without_its_settings_is_refused(trained, tmp_path):
    (tmp_path / "policy.safetensors").write_bytes((trained[0] / "policy.safetensors").read_bytes())
    runner = open_episodes(AnalyticWorld(), action_space="continuous", observation="frame", task="pointgoal")
    with pytest.raises(ValueError, match=r"agent.json' is not a file"):
        PolicyAgent.load(tmp_path, runner.observation_space, MacroActions(runner.actions.space, True))


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
        ("recurrent: 1", "recurrent=1 is not allowed; use true or false"),
        ("colours: 1", "colours=1 is not allowed; use a number from 0 and below 1"),
        ("cloning_steps: -1", "cloning_steps=-1 is not allowed"),
        ("cloning_steps: 8\nrecurrent: true", "cloning_steps=8 needs recurrent: false"),
        ("cloning_steps: 8\ntask: explore", "cloning_steps=8 needs a goal; allowed with task 'explore': 0"),
        ("task: dance", "task='dance' cannot be learned by agent 'ppo'; allowed: pointgoal, imagegoal, explore"),
        ("agent: mapper\ntask: explore", "task='explore' cannot be learned by agent 'mapper'; .* 'ppo' learns"),
        ("worlds: 1\nhorizon: 1", "worlds=1 with horizon=1 is not allowed"),
        ("- 1", "use a mapping of keys to values"),
        ("a: [", "not YAML"),
    ],
)  # fmt: skip
def test_mistakes_in_a_configuration_are_named(tmp_path, text, message):
    (tmp_path / "agent.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_config(tmp_path / "agent.yaml")


def test_an_agent_that_is_not_there_or_of_another_task_is_named(trained, tmp_path):
    explore = open_episodes(AnalyticWorld(), action_space="continuous", observation="frame")
    with pytest.raises(ValueError, match="has no policy.safetensors"):
        PolicyAgent.load(tmp_path, explore.observation_space, MacroActions(explore.actions.space, False))
    with pytest.raises(ValueError, match="does not fit this task"):
        PolicyAgent.load(trained[0], explore.observation_space, MacroActions(explore.actions.space, False))
    image = open_episodes(AnalyticWorld(), action_space="continuous", observation="frame", task="imagegoal")
    with pytest.raises(ValueError, match="does not fit this task"):
        PolicyAgent.load(trained[0], image.observation_space, MacroActions(image.actions.space, True))
    chunks = open_episodes(AnalyticWorld(), action_space="continuous", task="pointgoal")
    with pytest.raises(ValueError, match="learning agents need observation='frame' in colour"):
        PolicyAgent.load(trained[0], chunks.observation_space, MacroActions(chunks.actions.space, True))
