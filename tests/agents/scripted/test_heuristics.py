from __future__ import annotations

import numpy as np

from li_env.agents.evaluate import evaluate, summarise
from li_env.agents.registry import make_agent
from li_env.agents.scripted.heuristics import GoalFollower, RandomAgent, RandomForwardAgent
from li_env.episodes import open_episodes
from li_env.rollouts import View
from tests.analytic_world import AnalyticWorld

OPTIONS = [{"episode": index} for index in range(40)]


def success(room, agent) -> float:
    return summarise(evaluate(room, agent, OPTIONS, max_steps=12))["success"]["mean"]


def test_the_seeker_arrives_in_an_open_room_and_chance_does_not(room, macro_actions):
    assert success(room, GoalFollower(room.spec, 4, arrival=0.6)) > 0.95
    assert success(room, RandomAgent(macro_actions)) < 0.3


def test_the_seeker_gives_way_after_a_bump(room):
    seeker = GoalFollower(room.spec, 4, arrival=0.6)
    (state,) = room.start([np.random.default_rng(0)], [{"start": 0, "goal": [0.0, 9.0]}])  # behind the wall
    actions, detour = [], None
    for _ in range(6):
        (action,), (detour,) = seeker.act([View(room.observation(state), room.info(state), state, detour)])
        actions.append(action)
        (state,) = room.step([state], [action])
    assert any(abs(action[2]) == 1 and action[0] == 0 for action in actions)
    assert room.task.metrics(state.task)["collisions"] > 0


def test_the_wanderer_sees_more_than_one_that_stands_still():
    runner = open_episodes(AnalyticWorld(), action_space="continuous", observation="frame")
    (row,) = evaluate(runner, RandomForwardAgent(3), [{}], max_steps=10)
    (still,) = evaluate(runner, _Still(), [{}], max_steps=10)
    assert row["return"] > 1 > still["return"] == 0
    assert row["seen_area"] > still["seen_area"]


class _Still:
    def act(self, views):
        return [np.zeros(3, np.float32) for _ in views], [None] * len(views)


def test_choices_come_from_the_seed(room):
    first, second, other = (
        evaluate(room, make_agent("random", room, seed), OPTIONS[:8], max_steps=5) for seed in (0, 0, 1)
    )
    assert first == second != other
