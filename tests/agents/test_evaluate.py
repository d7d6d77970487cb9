from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from li_env.agents.evaluate import evaluate, summarise
from li_env.agents.macro_actions import MacroActions
from li_env.agents.ppo.config import PPOConfig
from li_env.agents.ppo.train import train
from li_env.agents.registry import NAMES, make_agent
from li_env.agents.scripted.cem import CrossEntropyPlanner
from li_env.episodes import EpisodeRunner, open_episodes
from tests.analytic_world import AnalyticWorld

ROOT = Path(__file__).parents[2]


def tables(runner, agent, count, steps) -> list[list[dict[str, float]]]:
    options = [{"episode": index} for index in range(count)]
    found = [evaluate(runner, agent, options, steps, batch=batch) for batch in (1, 4, 16)]
    return [*found, evaluate(runner, agent, options[::-1], steps, batch=3)[::-1]]


@pytest.mark.parametrize("name", ["random", "wanderer", "seeker", "planner"])
def test_the_size_of_the_batch_changes_nothing(room, name):
    agent = (
        CrossEntropyPlanner(room, MacroActions(room.actions.space, True), candidates=6) if name == "planner" else None
    )
    first, *others = tables(room, agent or make_agent(name, room, seed=3), 7, 4 if agent else 12)
    assert all(rows == first for rows in others)
    assert len({row["return"] for row in first}) > 1


@pytest.mark.parametrize(("greedy", "recurrent"), [(False, False), (True, False), (False, True)])
def test_the_size_of_the_batch_changes_nothing_for_a_policy(room, tmp_path, greedy, recurrent):
    config = PPOConfig(world="analytic", steps=16, worlds=4, horizon=4, batch_size=8, epochs=1, recurrent=recurrent)
    train(config, tmp_path, room.task.dataset, room.world, "cpu")
    first, *others = tables(room, make_agent(str(tmp_path), room, greedy=greedy), 7, 8)
    assert all(rows == first for rows in others)


@pytest.fixture(scope="module")
def game() -> Iterator[EpisodeRunner]:
    """PointGoal in the game; an engine that was started for one agent serves the others."""
    pytest.importorskip("vizdoom")
    runner = open_episodes("freedoom_game", "off", "continuous", "frame", task="pointgoal")
    yield runner
    runner.world.close()


@pytest.mark.parametrize("name", ["ppo_open", "ppo_detour"])
def test_an_agent_that_learned_from_reward_walks_to_its_goals_in_the_game(game, name):
    agent = make_agent(str(ROOT / "benchmarks" / "agents" / name), game, greedy=True)
    rows = evaluate(game, agent, [{"episode": index} for index in range(2)], 32)
    assert all(row["steps"] < 32 for row in rows), "it stops by itself"
    assert any(row["success"] for row in rows)


@pytest.mark.parametrize("name", ["random", "wanderer", "expert", str(ROOT / "benchmarks" / "mapper")])
def test_the_size_of_the_batch_changes_nothing_in_the_game(game, name):
    first, *others = tables(game, make_agent(name, game, seed=3), 7, 8)
    assert all(rows == first for rows in others)
    assert len({row["return"] for row in first}) > 1


def test_episodes_are_cut_at_the_limit_and_counted(room):
    ended = []
    rows = evaluate(room, _Forward(), [{"episode": 0}] * 3, max_steps=4, batch=2, on_episodes=ended.append)
    assert [row["steps"] for row in rows] == [4, 4, 4]
    assert [row["success"] for row in rows] == [0, 0, 0]
    assert sum(ended) == 3


class _Forward:
    def act(self, views):
        return [np.array([1, 0, 0, 0], np.float32) for _ in views], [None] * len(views)


def test_agent_states_stay_with_their_episode(room):
    seen = []

    class Counter(_Forward):
        def act(self, views):
            seen.append([view.memory for view in views])
            actions = super().act(views)[0]
            if len(seen) == 2:
                actions[0] = np.array([0, 0, 0, 1], np.float32)  # the first one stops
            return actions, [(view.memory or view.info["episode_index"] * 100) + 1 for view in views]

    evaluate(room, Counter(), [{"episode": 3}, {"episode": 4}], max_steps=3)
    assert seen == [[None, None], [301, 401], [402]]


def test_a_summary_has_means_and_intervals_around_them():
    rows = [{"success": float(index % 4 == 0)} for index in range(100)]
    found = summarise(rows)
    assert found["episodes"] == 100
    assert found["success"]["mean"] == 0.25
    low, high = found["success"]["interval"]
    assert 0.15 < low < 0.21 and 0.29 < high < 0.36
    assert summarise(rows) == found


def test_agents_by_name(room):
    for name in set(NAMES) - {"expert"}:
        assert make_agent(name, room).act([])[0] == [] if name != "planner" else make_agent(name, room)
    with pytest.raises(ValueError, match=r"='seker' is unknown \(did you mean 'seeker'\?\); allowed: random"):
        make_agent("seker", room)
    explore = open_episodes(AnalyticWorld(), action_space="continuous", observation="frame")
    for name in ("seeker", "expert"):
        with pytest.raises(ValueError, match=f"agent='{name}' cannot play task 'explore' here"):
            make_agent(name, explore)


def test_a_bad_option_is_refused_before_anything_is_played(room):
    with pytest.raises(ValueError, match="reset option key='start_' is unknown"):
        evaluate(room, _Forward(), [{"episode": 0}, {"start_": 1}], 3)
