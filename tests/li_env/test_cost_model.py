"""Environments leave out the parts of a preset that save no time with their number of episodes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from li_env.accel.config import AccelConfig
from li_env.accel.costs import CallTimes, CostTable
from li_env.accel.geometry.camera import STILL, CameraMotion
from li_env.accel.plan import ChunkPlan
from li_env.accel.planning.choice import judge_parts
from li_env.accel.runtime.engine import Engine
from li_env.env import LightInteractionEnv
from li_env.vector_env import LightInteractionVectorEnv
from li_env.worlds.freedoom.batching import calls_of
from tests.analytic_world import AnalyticWorld

LENGTHS = (4, 8, 12, 16, 20)
SLOW_CALLS = CostTable((2, 4), (CallTimes(8, LENGTHS, tuple((9.0 + 0.1 * c, 10.0 + 0.1 * c) for c in LENGTHS)),))
"""A call of eight takes nearly as long for any context: with few episodes only equal contexts are fast."""

ACTIONS = [5, 6, 5, 6, 1, 1, 2, 5, 6, 5, 1, 2]
WORDS = "save no time with 8 environments on this device."


class Padded(AnalyticWorld):
    """World that computes up to 64 episodes in micro-batches of eight, more one by one."""

    costs = SLOW_CALLS

    def micro_batch(self, num_envs: int) -> int:
        return 8 if num_envs <= 64 else 1

    def model_calls(self, plans, num_envs):
        return calls_of(plans, self.micro_batch(num_envs))


def played(count: int, preset: Any = "all", world: AnalyticWorld | None = None) -> tuple[np.ndarray, list[list[str]]]:
    """Return the frames [steps, count, ...] and the reasons of every step."""
    env = LightInteractionVectorEnv(count, world=world or Padded(), preset=preset, plan_info=True)
    env.reset(seed=0)
    steps = [env.step(np.array([(action + row) % 9 for row in range(count)])) for action in ACTIONS]
    return np.stack([step[0] for step in steps]), [step[4]["plan"]["reason"].tolist() for step in steps]


def test_with_everything_left_out_a_preset_is_the_plain_model_and_says_why():
    (frames, reasons), (plain, _) = played(8), played(8, "off")
    np.testing.assert_array_equal(frames, plain)
    assert [[words.endswith(WORDS) for words in step] for step in reasons] == [[False] * 8] * 3 + [[True] * 8] * 9
    as_it_is, _ = played(8, AccelConfig.preset("all").replace(cost_model=False))
    assert not np.array_equal(frames, as_it_is)


def test_without_a_table_nothing_changes():
    class Unknown(Padded):
        costs = None

    (expected, reasons), (frames, found) = played(8, world=AnalyticWorld()), played(8, world=Unknown())
    np.testing.assert_array_equal(frames, expected)
    assert found == reasons and "no time" not in reasons[-1][0]


def test_an_episode_alone_in_an_environment_of_the_same_size_is_equal():
    together = LightInteractionVectorEnv(8, world=Padded(), preset="all", plan_info=True)
    runner = LightInteractionEnv(Padded(), preset="all", plan_info=True).runner.in_batches_of(8)
    together.reset(seed=0)
    generator = np.random.default_rng(0)
    (state,) = runner.start([generator], [{}])
    for action in ACTIONS[:6]:
        together.step(np.full(8, action))
        (state,) = runner.step([state], [action])
    assert state.last is not None and state.last.plan.reason.endswith(WORDS)
    own = together._states[0]
    assert own is not None and own.last is not None
    kept = ("temporal", "memory", "sigmas")
    assert [getattr(state.last.plan, key) for key in kept] == [getattr(own.last.plan, key) for key in kept]


def test_every_number_of_episodes_has_its_own_plans():
    engine = Engine(Padded(), AccelConfig.preset("all"), batch=8, by_cost=True)
    few = engine.planner
    engine.batch = 100  # as `EpisodeRunner.in_batches_of` does with a copy
    assert engine.planner is not few
    engine.batch = 8
    assert engine.planner is few
    assert Engine(Padded(), AccelConfig.preset("all"), batch=8).planner.config == few.config


def still(count: int) -> tuple[CameraMotion, ...]:
    return (STILL,) * count


def test_engines_run_presets_as_they_are_unless_they_are_told_otherwise():
    for by_cost in (False, True):
        world = Padded()
        engine = Engine(world, AccelConfig.preset("all"), batch=8, by_cost=by_cost)
        states = engine.start([world.start_views.images[0]], [""], [0])
        for chunk in range(5):
            states, (made,) = engine.step(states, [still(world.spec.new_latents(chunk))])
        assert made.plan.reason.endswith(WORDS) is by_cost


def test_plans_with_parts_left_out_are_stored_and_run_again_bit_for_bit():
    world = Padded()
    engine = Engine(world, AccelConfig.preset("all"), batch=8, by_cost=True)
    plain = Engine(world, AccelConfig.preset("all"), batch=1)
    states = again = engine.start([world.start_views.images[0]], [""], [0])
    for chunk in range(6):
        motions = [still(world.spec.new_latents(chunk))]
        states, (made,) = engine.step(states, motions)
        stored = ChunkPlan.from_dict(json.loads(json.dumps(made.plan.to_dict())))
        again, (repeated,) = plain.step(again, motions, [stored])
        assert repeated.plan == made.plan
        np.testing.assert_array_equal(made.frames, repeated.frames)


def test_the_setting_is_a_truth_value():
    with pytest.raises(ValueError, match=r"^cost_model: 'auto' is not allowed; use true or false$"):
        AccelConfig(cost_model="auto")  # type: ignore[arg-type]


def test_the_estimated_number_of_model_calls_is_about_that_of_an_environment():
    """Let every call take 1 ms, so that the estimate counts calls: of 16 episodes in micro-batches of 8."""

    class Counted(Padded):
        costs = CostTable((2, 4), (CallTimes(8, (4, 20), ((1.0, 1.0), (1.0, 1.0))),))

    world, preset = Counted(), AccelConfig.preset("all")
    env = LightInteractionVectorEnv(16, world=world, preset=preset.replace(cost_model=False), max_episode_steps=None)
    env.reset(seed=0)
    generator, made = np.random.default_rng(0), []
    for step in range(22):
        env.step(generator.choice([1, 1, 1, 5, 6, 7, 8], 16))
        if step >= 6:
            made.append(len(calls_of([ChunkPlan.from_dict(plan) for plan in env.plans], 8)))
    judged = judge_parts(world, preset, 16)
    assert judged.milliseconds[()] == 2.0, "off has contexts of one length"
    assert judged.milliseconds["context", "cache"] == pytest.approx(np.mean(made), rel=0.2)
    assert np.mean(made) > 3.0
