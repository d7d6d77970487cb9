"""Work shared between chunks on a CPU: with a narrow model; with the shipped weights where the picture counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import STILL, CameraMotion
from li_env.accel.planning.validate import stored_plans
from li_env.accel.runtime.chunk import ChunkResult, GenerationState
from li_env.accel.runtime.engine import Engine
from li_env.accel.runtime.report import RolloutReport
from li_env.actions import Action
from li_env.evaluation.fixed_motion import FixedMotionWorld
from li_env.worlds.common.transformer import Block
from li_env.worlds.freedoom.spec import SPEC
from li_env.worlds.freedoom.world import load
from li_env.worlds.freedoom_game.world import SPEC as GAME
from tests.narrow_freedoom import DEPTH, narrow_freedoom

OFF = AccelConfig(warmup_chunks=1)
REUSE = OFF.replace(name="reuse", reuse_context=0.5, reuse_blocks=0.3)
TURN = CameraMotion(yaw=SPEC.motion.rotation)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def world() -> FixedMotionWorld:
    return FixedMotionWorld(narrow_freedoom(), timed=False)


def start(engine: Engine) -> GenerationState:
    (state,) = engine.start([engine.world.start_views.images[0]], [""], [3])
    return state


def roll(engine: Engine, chunks: int, motion: CameraMotion = STILL, state: GenerationState | None = None, plans=None):
    state = start(engine) if state is None else state
    made: list[ChunkResult] = []
    for index in range(chunks):
        count = SPEC.latents_in_chunk(state.chunk) - (state.chunk == 0)
        given = None if plans is None else [plans[index]]
        (state,), (result,) = engine.step([state], [(motion,) * count], given)
        made.append(result)
    return state, made


def frames(made: list[ChunkResult]) -> np.ndarray:
    return np.concatenate([result.frames for result in made])


@pytest.fixture(scope="module")
def reused(world):
    return roll(Engine(world, REUSE), 4)


def test_closed_gates_equal_off_bit_by_bit(world: FixedMotionWorld) -> None:
    _, plain = roll(Engine(world, OFF), 3, TURN)
    for config in (
        OFF.replace(reuse_context=0.0, reuse_blocks=0.0),
        OFF.replace(reuse_context=1e-9, reuse_blocks=1e-9),
    ):
        _, made = roll(Engine(world, config), 3, TURN)
        assert np.array_equal(frames(made), frames(plain))
        assert not any(result.plan.kept or result.plan.reused_blocks for result in made)


def test_a_standing_camera_reuses_and_stays_near() -> None:
    shipped = FixedMotionWorld(load("cpu"), timed=False)
    _, made = roll(Engine(shipped, REUSE), 4)
    _, plain = roll(Engine(shipped, OFF), 4)
    assert [result.plan.shares for result in made] == [False, True, True, True]
    assert [result.plan.kept for result in made[:3]] == [(), (), (0, 1, 2, 3)]
    assert made[2].plan.reused_blocks and made[3].plan.reused_blocks
    error = np.square(frames(made).astype(float) - frames(plain)).mean()
    assert 0 < error < 255**2 / 10**3.5  # 35 dB


def test_what_is_planned_is_what_is_computed(world: FixedMotionWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens: list[int] = []
    forward = Block.forward

    def counted(self, z, *args, **kwargs):
        tokens.append(z.shape[1] * z.shape[2])
        return forward(self, z, *args, **kwargs)

    monkeypatch.setattr(Block, "forward", counted)
    engine = Engine(world, REUSE)
    state = start(engine)
    depth, size = DEPTH, SPEC.token_grid[0] * SPEC.token_grid[1]
    for _ in range(4):
        tokens.clear()
        (state,), (result,) = engine.step([state], [(STILL,) * (4 - (state.chunk == 0))])
        plan = result.plan
        passed = (plan.context_latents - len(plan.kept)) * size * (depth - 1)
        denoised = (plan.steps * depth - len(plan.reused_blocks or ())) * 4 * size
        assert sum(tokens) == passed + denoised


def test_a_stored_report_is_made_again_with_equal_bits(world: FixedMotionWorld, reused) -> None:
    _, made = reused
    report = RolloutReport(SPEC, REUSE, 3)
    for result in made:
        report.add(result)
    plans = stored_plans(json.loads(json.dumps(report.to_dict())))
    assert plans == [result.plan for result in made]
    _, again = roll(Engine(world, OFF), 4, plans=plans)
    assert np.array_equal(frames(again), frames(made))
    assert [result.plan for result in again] == plans


def test_a_stored_choice_of_blocks_goes_before_the_gate(world: FixedMotionWorld, reused) -> None:
    _, made = reused
    plans = [result.plan for result in made]
    plans[2] = replace(plans[2], reused_blocks=((3, 1),))
    _, again = roll(Engine(world, OFF), 3, plans=plans)
    assert again[2].plan.reused_blocks == ((3, 1),)
    assert not np.array_equal(again[2].frames, made[2].frames)


def test_forks_do_not_disturb_each_other(world: FixedMotionWorld, reused) -> None:
    engine = Engine(world, REUSE)
    _, whole = reused
    fork, _ = roll(engine, 3)
    roll(engine, 1, TURN, fork)  # the other branch
    _, rest = roll(engine, 1, STILL, fork)
    assert np.array_equal(rest[0].frames, whole[3].frames)


def test_plans_that_reuse_what_was_not_kept_are_refused(world: FixedMotionWorld, reused) -> None:
    _, made = reused
    engine = Engine(world, OFF)
    state, _ = roll(engine, 2)  # leaves no work
    with pytest.raises(ValueError, match=r"plans\[0\].kept: .* which the chunk before has kept"):
        engine.step([state], [(STILL,) * 4], [made[2].plan])
    with pytest.raises(ValueError, match=r"plans\[0\].shares: False is not allowed"):
        engine.step([state], [(STILL,) * 4], [replace(made[2].plan, shares=False)])


def test_a_plain_world_of_the_same_weights_is_used_by_any_execution() -> None:
    fused = FixedMotionWorld(narrow_freedoom("fused"), timed=False)
    _, made = roll(Engine(fused, REUSE), 3)
    assert made[2].plan.kept == (0, 1, 2, 3)


def test_a_restored_environment_goes_on_with_the_kept_work() -> None:
    preset = {"warmup_chunks": 1, "reuse_context": 0.5, "reuse_blocks": 0.3}
    env = gymnasium.make("LightInteraction/Explore-v0", world=narrow_freedoom(), preset=preset).unwrapped
    env.reset(seed=0)
    for _ in range(3):
        env.step(Action.STILL)
    saved = env.save_state()
    whole, plan = env.step(Action.STILL)[0], env.plan
    assert plan["kept"] and plan["shares"]
    env.reset(seed=1)
    env.restore_state(saved)
    again = env.step(Action.STILL)[0]
    assert env.plan == plan
    assert np.array_equal(again, whole)


def test_the_game_of_this_world_keeps_no_work() -> None:
    assert SPEC.supports_shared_work and not GAME.supports_shared_work


def test_the_bytes_of_kept_work_are_those_of_its_tensors(world):
    """Compare with an episode whose context is full."""
    state, _ = roll(Engine(world, REUSE), 7)
    kept = state.kept
    assert kept is not None and len(kept.context) == SPEC.context_latents
    pairs = [tensor for pair in kept.blocks.values() for tensor in pair]
    tensors = [*kept.context.values(), *pairs]
    assert world.kept_bytes() == sum(tensor.numel() * tensor.element_size() for tensor in tensors)
