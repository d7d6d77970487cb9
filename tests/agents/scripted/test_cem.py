from __future__ import annotations

import numpy as np
import pytest

from li_env.agents.evaluate import evaluate, summarise
from li_env.agents.macro_actions import MacroActions
from li_env.agents.scripted.cem import CrossEntropyPlanner
from li_env.agents.scripted.heuristics import RandomAgent
from li_env.episodes import open_episodes
from li_env.rollouts import View
from tests.analytic_world import AnalyticWorld


def test_planning_in_forks_reaches_goals_that_chance_does_not(room, macro_actions):
    options = [{"episode": index} for index in range(6)]
    planner = CrossEntropyPlanner(room, macro_actions, horizon=3, candidates=96, elites=5, rounds=2)
    planned = summarise(evaluate(room, planner, options, max_steps=8))
    drawn = summarise(evaluate(room, RandomAgent(macro_actions), options, max_steps=8))
    assert planned["return"]["mean"] > drawn["return"]["mean"] + 2
    assert planned["success"]["mean"] >= 0.5
    assert drawn["success"]["mean"] < 0.3


def test_the_episode_itself_stays_where_it_was(room, macro_actions):
    (state,) = room.start([np.random.default_rng(0)], [{"episode": 1}])
    before = state.frames.copy()
    planner = CrossEntropyPlanner(room, macro_actions, horizon=2, candidates=4, elites=2, rounds=1)
    view = View(room.observation(state), room.info(state), state)
    _, (probabilities,) = planner.act([view])
    assert probabilities.shape == (2, 9)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert state.episode.chunk == 0
    np.testing.assert_array_equal(state.frames, before)


def test_it_plans_for_any_task():
    runner = open_episodes(AnalyticWorld(), action_space="continuous", observation="frame")
    planner = CrossEntropyPlanner(
        runner, MacroActions(runner.actions.space, False), horizon=1, candidates=12, elites=1, rounds=1
    )
    (row,) = evaluate(runner, planner, [{}], max_steps=3)
    assert row["return"] > 0.5


@pytest.mark.parametrize(
    ("wrong", "message"), [({"horizon": 0}, "horizon=0 is not allowed"), ({"elites": 17}, "elites=17 is not allowed")]
)
def test_bad_numbers_are_refused(room, macro_actions, wrong, message):
    with pytest.raises(ValueError, match=message):
        CrossEntropyPlanner(room, macro_actions, **wrong)
