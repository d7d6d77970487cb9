"""The contract suite passes the tasks that keep the contract and names the fault of those that do not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from li_env.tasks import PointGoal, load_task
from li_env.tasks.explore import Explore
from li_env.testing import check_task
from li_env.worlds import load_world
from tests.analytic_world import AnalyticWorld

GOALS = {"pointgoal": {}, "imagegoal": {"goal": [0, 2], "goal_image": np.full((96, 128, 3), 9, np.uint8)}}


@pytest.mark.parametrize("name", ["explore", *GOALS])
def test_the_tasks_keep_the_contract(name):
    world = AnalyticWorld()
    check_task(load_task(name, world), world, options=GOALS.get(name))


@pytest.mark.parametrize("name", ["explore", *GOALS])
def test_they_do_in_the_game(name):
    pytest.importorskip("vizdoom")
    world = load_world("freedoom_game")
    check_task(load_task(name, world), world, steps=3)


def spoilt(base: type = PointGoal, **members: Any) -> Any:
    return type("Spoilt", (base,), members)(AnalyticWorld().spec)


LIST: list[float] = []
BUFFER = np.zeros(2, np.float32)


class Mutable(PointGoal):
    """Writes into the states that it was given."""

    def advance(self, state, result):
        following = super().advance(state, result)
        object.__setattr__(state, "distance", 0.0)
        return following


class OddTogether(Explore):
    def advance_all(self, states, results):
        return list(states)


class Moody(PointGoal):
    """Draws from somewhere else than the generator it gets."""

    def begin(self, opening, pose, generator):
        LIST.append(0.0)
        return super().begin(opening, pose, np.random.default_rng(len(LIST)))


class Greedy(PointGoal):
    def open(self, options, generator):
        dict.update(options, more=1)
        return super().open({}, generator)


class Growing(PointGoal):
    def metrics(self, state):
        more = {"bumped": 1} if state.steps > 1 else {}
        return {**super().metrics(state), **more}


class Changing(PointGoal):
    def metrics(self, state):
        return {**super().metrics(state), "trail": np.zeros(state.steps + 1)}


FAULTS = {
    "no name": (lambda: spoilt(name=""), "name=''; allowed: a text"),
    "stop as a number": (lambda: spoilt(can_stop=1), "can_stop=1; allowed: True or False"),
    "options as a list": (lambda: spoilt(options=["episode"]), "options=.* allowed: a tuple of names"),
    "spaces as a list": (lambda: spoilt(sensor_spaces=lambda self, spec: []), "allowed: a dictionary of Gym"),
    "takes the camera's name": (
        lambda: spoilt(sensor_spaces=lambda self, spec: {"rgb": spaces.Discrete(2)}),
        "without 'rgb'",
    ),
    "other sensors": (lambda: spoilt(sensors=lambda self, state: {}), r"sensors have keys \[\]; allowed"),
    "outside the space": (
        lambda: spoilt(sensors=lambda self, state: {"pointgoal": np.array([-1, 0], np.float32)}),
        "sensor 'pointgoal': .* is not in its space",
    ),
    "sensor of another type": (
        lambda: spoilt(sensors=lambda self, state: {"pointgoal": np.array([1.0, 0.0])}),
        "ndarray float64 .* is not in its space",
    ),
    "one array for all": (lambda: spoilt(sensors=lambda self, state: {"pointgoal": BUFFER}), "shares its array"),
    "NaN": (lambda: spoilt(reward=lambda self, state: math.nan), "reward=nan; allowed: a finite number"),
    "no reward": (lambda: spoilt(reward=lambda self, state: None), "reward=None"),
    "an end that is none": (lambda: spoilt(terminated=lambda self, state: "no"), "terminated='no'"),
    "stop does not end": (lambda: spoilt(terminated=lambda self, state: False), "terminated is False after stop"),
    "words as metrics": (lambda: spoilt(metrics=lambda self, state: {"how": "well"}), "metric 'how'='well'"),
    "a mask's name": (lambda: spoilt(metrics=lambda self, state: {"_bumps": 1}), "keys without leading _"),
    "keys come and go": (lambda: spoilt(Growing), "metrics have keys .* allowed: always"),
    "shapes change": (lambda: spoilt(Changing), r"metric 'trail' is float64 \[2\]; allowed: always float64 \[1\]"),
    "states change": (lambda: spoilt(Mutable), "a state changed after later steps|differ"),
    "advance_all differs": (lambda: spoilt(OddTogether), r"differ \(advance, advance_all\)"),
    "randomness of its own": (lambda: spoilt(Moody), "begin gave another state for the same generator"),
    "writes into options": (lambda: spoilt(Greedy), "open changed the reset options"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(fault):
    make, message = FAULTS[fault]
    with pytest.raises(ValueError, match=message) as error:
        check_task(make(), AnalyticWorld())
    text = str(error.value)
    assert text.startswith("task '")
    assert len(text) <= 500
    assert "\n" not in text
