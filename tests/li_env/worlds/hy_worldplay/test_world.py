"""The world as environments use it: presets, batches, forks and replays on random weights, and a whole checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.runtime.chunk import GenerationState
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import BaseWorld, ChunkRequest
from li_env.worlds.hy_worldplay.build import load, random_world
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from li_env.worlds.hy_worldplay.world import GRID, HYWorldPlayWorld, world_spec
from li_env.worlds.registry import load_world

SMALL = HYWorldPlayConfig(4, 64, 2, 3, 2.0, (8, 12, 12), text_width=8, vision_width=8, byt5_widths=(8, 8, 8))
"""Heads as narrow as block-sparse attention allows."""

FORWARD, TURN = CameraMotion(forward=0.08), CameraMotion(yaw=3.0)


@pytest.fixture(scope="module")
def world() -> Iterator[HYWorldPlayWorld]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield random_world(SMALL, torch.device("cpu"), (6, 8))
    torch.set_num_threads(before)


def begin(engine: Engine, *seeds: int) -> list[GenerationState]:
    frames = engine.world.start_views.images  # type: ignore[attr-defined]
    return engine.start([frames[seed % 2] for seed in seeds], [f"place {seed}" for seed in seeds], seeds)


def steps(state: GenerationState, motion: CameraMotion) -> tuple[CameraMotion, ...]:
    return (motion,) * (4 if state.chunk else 3)


def test_constants_of_the_published_model() -> None:
    spec = world_spec(HYWorldPlayConfig(), GRID)
    assert (spec.frame_size, spec.latent_shape, spec.chunk_frames, spec.fps) == ((480, 832), (32, 30, 52), 16, 24.0)
    assert spec.sigmas == pytest.approx((1.0, 0.9375, 0.8333333, 0.625, 0.0))
    assert (spec.context_latents, spec.temporal_latents, spec.memory_group) == (20, 12, 4)
    assert spec.supports_block_sparse
    assert not world_spec(replace(SMALL, heads=4, rope_dims=(4, 6, 6)), GRID).supports_block_sparse  # 16 channels


def test_follows_the_protocol(world: HYWorldPlayWorld) -> None:
    assert isinstance(world, BaseWorld)
    assert world.feasible_motions([]) == []


@pytest.mark.parametrize("preset", ["off", "context", "cache", "sparse", "all", "paper"])
def test_presets_make_chunks_of_the_right_length(world: HYWorldPlayWorld, preset: str) -> None:
    engine = Engine(world, AccelConfig.preset(preset))
    [state] = begin(engine, 0)
    for chunk in range(7):
        motion = FORWARD if chunk < 4 else FORWARD.scaled(-1)
        [state], [result] = engine.step([state], [steps(state, motion)])
        assert result.frames.shape == (13 if chunk == 0 else 16, 96, 128, 3)
        assert result.latents.shape == (4, 4, 6, 8) and not result.degenerated
    kinds = {"block_sparse"} if preset in ("sparse", "all", "paper") else {"dense"}
    assert result.plan.attention.kind in kinds


def test_same_seed_same_frames_whatever_else_is_in_the_batch(world: HYWorldPlayWorld) -> None:
    engine = Engine(world, AccelConfig.preset("all"))
    together, alone = begin(engine, 0, 1), begin(engine, 0)
    [together[1]], _ = engine.step([together[1]], [steps(together[1], TURN)])  # the two are at different chunks
    for _ in range(4):
        together, both = engine.step(together, [steps(together[0], FORWARD), steps(together[1], TURN)])
        alone, one = engine.step(alone, [steps(alone[0], FORWARD)])
        assert torch.equal(both[0].latents, one[0].latents)
        assert np.array_equal(both[0].frames, one[0].frames)


def test_forks_do_not_mix(world: HYWorldPlayWorld) -> None:
    engine = Engine(world, AccelConfig.preset("off"))
    [state] = begin(engine, 3)
    [state], _ = engine.step([state], [steps(state, FORWARD)])
    _, [first] = engine.step([state], [steps(state, FORWARD)])
    _, [other] = engine.step([state], [steps(state, TURN)])
    _, [again] = engine.step([state], [steps(state, FORWARD)])
    assert torch.equal(first.latents, again.latents) and not torch.equal(first.latents, other.latents)


def test_prompt_and_image_reach_the_latents(world: HYWorldPlayWorld) -> None:
    engine = Engine(world, AccelConfig.preset("off"))
    frames = world.start_views.images
    assert frames is not None
    states = engine.start([frames[0], frames[1], frames[0]], ["a", "a", "b"], [0, 0, 0])
    _, (plain, other_image, other_prompt) = engine.step(states, [steps(state, FORWARD) for state in states])
    assert not torch.equal(plain.latents, other_image.latents)
    assert not torch.equal(plain.latents, other_prompt.latents)


def request(world: HYWorldPlayWorld, plan: ChunkPlan, start_pose: np.ndarray | None = None) -> ChunkRequest:
    generator = torch.Generator().manual_seed(0)
    frames = world.start_views.images
    assert frames is not None
    [scene] = world.start([frames[0]], ["a"])
    poses = np.tile(np.eye(4), (24, 1, 1))
    poses[:, 2, 3] = 0.08 * np.arange(24)
    origin = np.eye(4) if start_pose is None else start_pose
    poses = origin @ poses
    chosen, count = list(plan.context), len(plan.context)
    latents = torch.randn(count + 4, *world.spec.latent_shape, generator=generator)
    return ChunkRequest(
        scene, plan, poses[20:], (FORWARD,) * 4, latents[:count], poses[chosen], latents[count:],
        (FORWARD,) * count, origin,
    )  # fmt: skip


def plan(context: tuple[int, ...], attention: AttentionPlan | None = None) -> ChunkPlan:
    sigmas = (1.0, 0.625, 0.0)
    return ChunkPlan(5, "explore", 0.0, context, (), sigmas, attention or AttentionPlan(), "test")


def test_all_tiles_kept_equals_dense_and_fewer_do_not(world: HYWorldPlayWorld) -> None:
    context = tuple(range(8, 20))
    dense, everything, some = (
        world.generate([request(world, plan(context, attention))])[0]
        for attention in (
            AttentionPlan(),
            AttentionPlan("block_sparse", 1.0, 1.0, dense_first_block=False),
            AttentionPlan("block_sparse", 0.175, 0.3),
        )
    )
    assert (everything - dense).norm() < 1e-5 * dense.norm()
    assert 1e-4 * dense.norm() < (some - dense).norm()


def test_the_start_image_is_known_wherever_the_first_latent_is(world: HYWorldPlayWorld) -> None:
    """Same latents, once as latents 0 to 3 and once as 4 to 7: the first of them carries the image or not."""
    first = request(world, plan((0, 1, 2, 3)))
    later = replace(first, plan=plan((4, 5, 6, 7)))
    other = replace(later, plan=plan((8, 9, 10, 11)))
    with_image, without, still_without = (world.generate([each])[0] for each in (first, later, other))
    assert not torch.allclose(with_image, without, atol=1e-4)
    assert torch.equal(without, still_without)


def test_episodes_that_start_elsewhere_look_the_same(world: HYWorldPlayWorld) -> None:
    far = np.eye(4)
    far[:3, 3] = (300.0, 0.0, -200.0)
    here, there = (world.generate([request(world, plan((16, 17, 18, 19)), pose)])[0] for pose in (None, far))
    torch.testing.assert_close(here, there, atol=1e-4, rtol=0)


def test_warming_up_leaves_no_trace(world: HYWorldPlayWorld, caplog: pytest.LogCaptureFixture) -> None:
    asked = request(world, plan((16, 17, 18, 19)))
    [before] = world.generate([asked])
    with caplog.at_level("INFO"):
        world.warm_up(asked.scene)
    assert "hy_worldplay warmed up in" in caplog.text
    [after] = world.generate([asked])
    assert torch.equal(before, after)


def test_missing_weights_say_what_to_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LI_ENV_HY_WORLDPLAY", raising=False)
    with pytest.raises(ValueError, match=r"LI_ENV_HY_WORLDPLAY.*ar_distilled_action_model.*GB.*tencent/HY-WorldPlay"):
        load_world("hy_worldplay", device="cpu")
    with pytest.raises(ValueError, match="weights='here' and random_weights=True exclude each other"):
        load("cpu", "here", random_weights=True)


def test_a_checkpoint_becomes_an_environment(tmp_path: Path) -> None:
    """Image and prompt in, frames out, at the published frame size."""
    for package in ("diffusers", "transformers"):
        pytest.importorskip(package)
    from tests.li_env.worlds.hy_worldplay.tiny_checkpoint import write_checkpoint

    write_checkpoint(tmp_path)
    env: Any = gymnasium.make(
        "LightInteraction/Explore-v0", world="hy_worldplay", weights=str(tmp_path), device="cpu", preset="off"
    )
    image = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="has no start frames"):
        env.unwrapped.reset(seed=0)
    first, info = env.reset(seed=0, options={"image": image, "prompt": 'a street with a sign "open"'})
    assert first.shape == (16, 480, 832, 3) and info["chunk"] == 0
    shown = []
    for chunk in range(2):
        observation, reward, terminated, truncated, info = env.step(0)
        assert observation.shape == (16, 480, 832, 3) and observation.dtype == np.uint8
        assert info["chunk"] == chunk + 1 and not (terminated or truncated) and reward >= 0
        shown.append(observation[-1])
    assert not np.array_equal(*shown)
    env.close()
