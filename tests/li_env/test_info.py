"""`info` has one structure in every state."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import li_env  # noqa: F401  (registers the ids)
from li_env.env import LightInteractionEnv
from li_env.infos import RegimeCode
from li_env.vector_env import LightInteractionVectorEnv
from tests.analytic_world import AnalyticWorld
from tests.film_world import SHAPES, FilmWorld

TASKS = ("explore", "pointgoal", "imagegoal")


def structure(info: dict[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of every value, which must be a number or an array of numbers."""
    found = {}
    for key, value in info.items():
        assert isinstance(value, bool | int | float | np.number | np.ndarray), f"{key}: {type(value)}"
        array = np.asarray(value)
        assert array.dtype.kind in "biuf", key
        found[key] = (str(array.dtype), array.shape)
    return found


def options_of(task: str) -> dict[str, Any]:
    return {"goal": [1.0, 2.0], "goal_image": np.zeros((9, 9, 3), np.uint8)} if task == "imagegoal" else {}


@pytest.mark.parametrize("timings", [False, True])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_single(shape, task, timings):
    env = LightInteractionEnv(FilmWorld(*shape), task=task, timings=timings)
    first = structure(env.reset(seed=0, options=options_of(task))[1])
    stop = [] if task == "explore" else [env.action_space.n - 1]
    for action in [1, 1, 6, 6, 1, 1, 5, 1, *stop]:
        assert structure(env.step(action)[4]) == first
    env.restore_state(env.save_state())
    assert structure(env.reset(options=options_of(task))[1]) == first


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
@pytest.mark.parametrize("task", ["explore", "pointgoal"])
def test_vector(task, mode):
    env = LightInteractionVectorEnv(
        2, max_episode_steps=3, autoreset_mode=mode, world=AnalyticWorld(), task=task, observation="frame"
    )
    own = {"final_obs", "_final_obs", "final_info", "_final_info"}
    first = structure(env.reset(seed=0)[1])
    ends = 0
    for step in range(7):
        stop = env.single_action_space.n - 1 if task == "pointgoal" and step == 1 else 1
        _, _, terminations, truncations, infos = env.step([1, stop])
        assert structure({key: value for key, value in infos.items() if key not in own}) == first
        over = terminations | truncations
        ends += int(over.sum())
        if mode == "SameStep" and over.any():
            assert structure(infos["final_info"]) == first
            np.testing.assert_array_equal(infos["_final_info"], over)
            np.testing.assert_array_equal(infos["final_info"]["_chunk"], over)
        if mode == "Disabled" and over.any():
            assert structure(env.reset(options={"reset_mask": over})[1]) == first
    assert ends >= 4


def test_a_single_environment_and_one_of_many_tell_the_same():
    single, many = LightInteractionEnv(AnalyticWorld()), LightInteractionVectorEnv(2, world=AnalyticWorld())
    alone, together = single.reset(seed=1)[1], many.reset(seed=0)[1]
    for action in (None, 1, 6, 1, 1):
        if action is not None:
            alone, together = single.step(action)[4], many.step([0, action])[4]
        assert {key for key in together if not key.startswith("_")} == alone.keys()
        for key, value in alone.items():
            np.testing.assert_array_equal(together[key][1], value)
            assert together[key].dtype == np.asarray(value).dtype


def test_the_plan_in_words_is_an_attribute_and_an_argument():
    env = LightInteractionEnv(AnalyticWorld(), plan_info=True)
    with pytest.raises(gymnasium.error.ResetNeeded):
        _ = env.plan
    _, info = env.reset(seed=0)
    assert env.plan is None
    assert info["plan"] == {}
    info = env.step(1)[4]
    assert info["plan"] == env.plan and env.plan["reason"]
    many = LightInteractionVectorEnv(2, world=AnalyticWorld())
    many.reset(seed=0)
    assert many.plans == (None, None)
    many.step([1, 1])
    assert [plan["chunk"] for plan in many.plans] == [0, 0]


def test_numbers_of_the_plan_are_those_of_its_words():
    env = LightInteractionEnv(AnalyticWorld(), preset="all")
    env.reset(seed=0)
    seen = set()
    for action in [1] * 4 + [2] * 8:
        info = env.step(action)[4]
        plan = env.plan
        seen.add(info["regime"])
        assert RegimeCode(info["regime"]).name.lower() == plan["regime"]
        assert info["denoising_steps"] == len(plan["sigmas"]) - 1
        assert (info["recent_latents"], info["retrieved_latents"]) == (len(plan["temporal"]), len(plan["memory"]))
        assert info["context_latents"] == info["recent_latents"] + info["retrieved_latents"]
        assert info["similarity"] == plan["similarity"]
        assert 0 < info["attention_density"] <= 1
    assert seen == {RegimeCode.WARMUP, RegimeCode.EXPLORE, RegimeCode.REVISIT}


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
@pytest.mark.parametrize("task", ["Explore", "PointGoal"])
def test_everything_is_what_gymnasium_makes_of_single_environments(task, mode):
    name, kwargs = f"LightInteraction/{task}-v0", {"world": "analytic", "observation": "frame", "max_episode_steps": 7}
    ours = gymnasium.make_vec(name, 3, vectorization_mode="vector_entry_point", autoreset_mode=mode, **kwargs)
    theirs = SyncVectorEnv([lambda: gymnasium.make(name, **kwargs)] * 3, autoreset_mode=AutoresetMode(mode))
    assert_same(ours.reset(seed=3), theirs.reset(seed=3))
    draws, count = np.random.default_rng(0), ours.single_action_space.n
    for _ in range(25):
        row = draws.integers(0, count, 3)
        mine = ours.step(row)
        assert_same(mine, theirs.step(row))
        over = mine[2] | mine[3]
        if mode == "Disabled" and over.any():
            resets = (env.reset(options={"reset_mask": over.copy()}) for env in (ours, theirs))
            assert_same(*resets)


def assert_same(one: Any, two: Any) -> None:
    """Equal to the bit, with the same types, in dictionaries and arrays of objects too."""
    if isinstance(one, dict):
        assert one.keys() == two.keys()
        one, two = list(one.values()), [two[key] for key in one]
    if isinstance(one, list | tuple) or (isinstance(one, np.ndarray) and one.dtype.hasobject):
        assert len(one) == len(two)
        for mine, theirs in zip(one, two, strict=True):
            assert_same(mine, theirs)
        return
    assert np.asarray(one).dtype == np.asarray(two).dtype
    np.testing.assert_array_equal(one, two)
