"""A world's micro-batches depend on how many episodes an environment holds, not on how many one call brings.

On a CPU a micro-batch is one episode; here every number that the rule for a GPU would be asked for is noted.
"""

from __future__ import annotations

import numpy as np
import pytest

from li_env.accel.micro_batch import episodes_together, expected_episodes
from li_env.episodes import open_episodes
from li_env.rollouts import play_episodes
from li_env.vector_env import LightInteractionVectorEnv
from li_env.worlds import load_world
from li_env.worlds.freedoom import world as module


@pytest.fixture
def asked(monkeypatch) -> list[int]:
    """Record the number of episodes that the world plans for, call by call."""
    counts: list[int] = []

    def size(count, device):
        counts.append(count)
        return 1

    monkeypatch.setattr(module, "micro_batch_size", size)
    return counts


def test_the_number_is_that_of_the_environment_inside_and_of_the_call_outside():
    assert expected_episodes(3) == 3
    with episodes_together(9):
        assert (expected_episodes(3), expected_episodes(12)) == (9, 12)
        with episodes_together(2):
            assert expected_episodes(1) == 2
        assert expected_episodes(1) == 9
    assert expected_episodes(3) == 3


def test_neither_resets_nor_stops_change_it(asked):
    env = LightInteractionVectorEnv(
        3, world=load_world("freedoom", device="cpu"), task="pointgoal", preset="off", autoreset_mode="SameStep"
    )
    env.reset(seed=0)
    stop = env.single_action_space.n - 1
    env.step(np.array([1, stop, 1]))
    env.reset(options={"reset_mask": np.array([True, False, False])})
    env.step(np.array([stop, stop, 1]))
    memory, *_ = asked  # before anything is allocated
    assert memory >= 1 and set(asked[-10:]) == {3}


def test_a_batch_that_runs_empty_does_not_change_it(asked):
    runner = open_episodes(load_world("freedoom", device="cpu"), task="pointgoal", action_space="discrete")
    asked.clear()  # the preset of a single episode was judged
    stop = runner.actions.space.n - 1
    seen = []

    def act(views):
        seen.append(len(views))
        return [stop if view.info["episode_index"] == 0 or view.info["chunk"] else 1 for view in views], None

    list(play_episodes(runner, act, [{"episode": 0}, {"episode": 1}], max_steps=3, batch=5))
    assert seen == [2, 1]
    assert set(asked) == {5}
    assert runner.engine.batch == 1
