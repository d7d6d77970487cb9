"""The world behind the contract: the original's clips, batches, attention, environments, bad input."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from li_env.accel.config import AccelConfig, preset_names
from li_env.accel.geometry.camera import CameraMotion, motion_table
from li_env.accel.history import History
from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.planning.planner import Planner
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import BaseWorld, ChunkRequest
from li_env.env import LightInteractionEnv
from li_env.worlds import load_world, register_world, registry, world_entry
from li_env.worlds.common.stub_codec import StubCodec
from li_env.worlds.matrix_game_3 import world as world_module
from li_env.worlds.matrix_game_3.build import load, random_world
from li_env.worlds.matrix_game_3.config import PUBLISHED, ActionConfig, MatrixGame3Config
from li_env.worlds.matrix_game_3.controls import MOTION
from li_env.worlds.matrix_game_3.kinematics import MOUSE
from li_env.worlds.matrix_game_3.time_axis import ClipSizes
from li_env.worlds.matrix_game_3.world import MatrixGame3World, working_bytes, world_spec
from tests.li_env.worlds.matrix_game_3.stored import stored, tiny_model
from tests.li_env.worlds.matrix_game_3.tiny_checkpoint import write_checkpoint
from tests.reference.matrix_game_3.original import KEY_TOKENS, MOUSE_TOKENS

CPU = torch.device("cpu")
SMALL = MatrixGame3Config(
    in_dim=48, out_dim=48, dim=64, ffn_dim=128, freq_dim=32, num_heads=2, num_layers=2, text_len=12, text_dim=32,
    action_config=ActionConfig((0,), 2, 8, 6, 32, 2, 32, (4, 6, 6)),
)  # fmt: skip
HELD = {"j": CameraMotion(yaw=-MOTION.rotation), "l": CameraMotion(yaw=MOTION.rotation)}
LEFT = (CameraMotion(yaw=-MOTION.rotation),) * 10
AHEAD = (CameraMotion(forward=MOTION.translation),) * 10


def small_world(device: str = "cpu", weights: str | None = None) -> MatrixGame3World:
    return random_world(torch.device(device), SMALL, (4, 8), ClipSizes(25, 16))


register_world("matrix_game_3_small", small_world, "tiny random weights, for these tests")


@pytest.fixture(scope="module")
def world() -> MatrixGame3World:
    return random_world(CPU, SMALL, (8, 16))


def start(world: MatrixGame3World, preset: AccelConfig, seeds: list[int]):
    generator = np.random.default_rng(1)
    images = [generator.integers(0, 256, (*world.spec.frame_size, 3), np.uint8) for _ in seeds]
    engine = Engine(world, preset)
    return engine, engine.start(images, ["a street"] * len(seeds), seeds)


class StoredImage(StubCodec):
    """An autoencoder whose images all have the stored latent."""

    def __init__(self, latent: torch.Tensor) -> None:
        super().__init__(len(latent), CPU)
        self._latent = latent

    def encode_image(self, image: np.ndarray) -> torch.Tensor:
        return self._latent


def motion_of(mouse: str, key: str) -> CameraMotion:
    """Convert the original's two keys to our motion."""
    (up, right), column = MOUSE_TOKENS[mouse], KEY_TOKENS[key]
    steps = {0: (0, 1), 1: (0, -1), 2: (-1, 0), 3: (1, 0), None: (0, 0)}[column]
    turn, step = MOTION.rotation / MOUSE, MOTION.translation
    return CameraMotion(yaw=turn * right, pitch=-turn * up, right=step * steps[0], forward=step * steps[1])


def test_the_originals_clips_come_out_of_the_world() -> None:
    """Keys held over clips: the planner's own choices and the world's batch path give the stored latents.

    Ends where the stored run changes its keys (there the original's rows are one frame later than ours), or where its
    scores, at the border of the view, prefer other latents than ours.
    """
    facts, tensors = stored("matrix_game_3_light_tiny")
    main, actions = stored()[1], facts["rollout"]["actions"]
    image = main["rollout.image_latent"][:, 0]
    grid = image.shape[1], image.shape[2]
    world = MatrixGame3World(tiny_model(), StoredImage(image), lambda _: main["rollout.context"], CPU, grid)
    held = motion_of(*actions[0])
    compared = 0
    with torch.inference_mode():
        (scene,) = world.start([np.zeros((*world.spec.frame_size, 3), np.uint8)], [""])
        planner = Planner(world.spec, AccelConfig.preset("off"))
        generator = torch.Generator().manual_seed(int(tensors["rollout.seed"]))
        history, pose = History(), np.eye(4)
        for clip, tokens in enumerate(actions):
            if tokens != actions[0]:
                break
            count = world.spec.latents_in_chunk(clip)
            drawn = count if clip == 0 else count + world.spec.temporal_latents
            noise = torch.randn((1, image.shape[0], drawn, *grid), generator=generator)[0].transpose(0, 1)
            motions = (held,) * (count - (clip == 0))
            poses = world.follow_many(pose[None], motion_table([motions]))[0]
            poses = np.concatenate([pose[None], poses]) if clip == 0 else poses
            (plan,) = planner.plan([history], [poses])
            if [latent for latent, _ in plan.slots] != tensors[f"rollout.off.clip{clip}.memory_latent_idx"].tolist():
                break
            context = history.latents(plan.context) if plan.context else torch.zeros((0, *world.spec.latent_shape))
            request = ChunkRequest(
                scene, plan, poses, motions, context, history.poses[list(plan.context)], noise[-count:],
                history.motions_to(plan.context),
            )  # fmt: skip
            (latents,) = world.generate([request])
            expected = tensors[f"rollout.off.clip{clip}.latents"][0].transpose(0, 1)
            torch.testing.assert_close(latents, expected, atol=5e-5, rtol=0)
            history, pose = history.append(latents, poses, motions), poses[-1]
            compared += 1
    shipped = "LI_ENV_ORACLES" not in os.environ
    assert compared >= (2 if shipped else 1)


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_runs_and_repeats(world: MatrixGame3World, preset: str) -> None:
    config = AccelConfig.preset(preset).replace(warmup_chunks=1)
    frames = []
    for _ in range(2):
        engine, states = start(world, config, [3])
        made = []
        for chunk in range(4):
            motions = (HELD["j" if chunk < 2 else "l"],) * (14 if chunk == 0 else 10)
            states, (result,) = engine.step(states, [motions])
            assert result.frames.shape[0] == (57 if chunk == 0 else 40) and not result.degenerated
            assert result.motions == motions
            made.append(result.frames)
        frames.append(np.concatenate(made))
    assert np.array_equal(*frames)


def test_a_batch_of_unlike_episodes_is_each_of_them_alone(world: MatrixGame3World) -> None:
    engine, states = start(world, AccelConfig.preset("all").replace(warmup_chunks=0), [1, 2, 3])
    states, _ = engine.step(states, [(HELD["j"],) * 14] * 3)
    moves = [(HELD["l"],) * 10, AHEAD, (HELD["l"],) * 10]
    _, results = engine.step(states, moves)
    assert len({(result.plan.regime, len(result.plan.memory)) for result in results}) > 1
    for index, move in enumerate(moves):
        _, (alone,) = engine.step(states[index : index + 1], [move])
        assert alone.plan == results[index].plan
        torch.testing.assert_close(alone.latents, results[index].latents, atol=2e-5, rtol=0)


def test_sparse_attention_over_everything_is_dense(world: MatrixGame3World) -> None:
    engine, states = start(world, AccelConfig.preset("off"), [5])
    states, _ = engine.step(states, [(HELD["j"],) * 14])
    states, (dense,) = engine.step(states, [LEFT])
    whole = AttentionPlan("block_sparse", decode_ratio=1.0, dense_first_block=False)
    part = AttentionPlan("block_sparse", decode_ratio=0.2, dense_first_block=False)
    _, (first,) = engine.step(states, [LEFT])
    for attention, equal in ((whole, True), (part, False)):
        _, (sparse,) = engine.step(states, [LEFT], [replace(first.plan, attention=attention)])
        assert torch.allclose(sparse.latents, first.latents, atol=2e-5) == equal
    assert dense.plan.attention.kind == "dense"


def test_a_memory_latent_in_four_slots_weighs_more_than_once(world: MatrixGame3World) -> None:
    """`off` keeps the original's copies; dropping them is another model call."""
    engine, states = start(world, AccelConfig.preset("off"), [5])
    states, _ = engine.step(states, [(HELD["j"],) * 14])
    _, (plain,) = engine.step(states, [LEFT])
    assert [latent for latent, _ in plain.plan.slots] == [10, 10, 10, 10, 1]
    once = replace(plain.plan, slots=((10, 9), (1, 1)))
    _, (single,) = engine.step(states, [LEFT], [once])
    assert not torch.allclose(single.latents, plain.latents, atol=1e-4)


def test_no_end_of_the_world(world: MatrixGame3World) -> None:
    """Go on after latent 2048, where the original stops."""
    far = 5000
    plan = ChunkPlan(500, "explore", 0.0, tuple(range(far, far + 4)), (7,), world.spec.sigmas, AttentionPlan(), "")
    generator = torch.Generator().manual_seed(0)
    context = torch.randn((5, *world.spec.latent_shape), generator=generator)
    noise = torch.randn((10, *world.spec.latent_shape), generator=generator)
    with torch.inference_mode():
        (scene,) = world.start([np.zeros((*world.spec.frame_size, 3), np.uint8)], [""])
        poses = np.tile(np.eye(4), (15, 1, 1))
        still = (CameraMotion(),) * 10
        request = ChunkRequest(scene, plan, poses[:10], still, context, poses[:5], noise, still[:5])
        (latents,) = world.generate([request])
        assert bool(latents.isfinite().all())
        near = replace(plan, temporal=tuple(range(20, 24)))
        (moved,) = world.generate([replace(request, plan=near)])
    assert not torch.equal(latents, moved), "memory must be further away"


def test_constants_of_the_published_model() -> None:
    spec = world_spec(PUBLISHED)
    assert (spec.frame_size, spec.latent_shape, spec.token_grid) == ((704, 1280), (48, 44, 80), (22, 40))
    assert (spec.chunk_frames, spec.step_frames, spec.first_chunk_latents, spec.chunk_latents) == (56, 40, 15, 10)
    assert [round(sigma, 6) for sigma in spec.sigmas] == [0.9998, 0.908843, 0.713979, 0.0]
    assert spec.fov == pytest.approx((90.0, 90.0))
    assert world_entry("matrix_game_3").frame_size == spec.frame_size


def test_environment() -> None:
    env = gymnasium.make(
        "LightInteraction/Explore-v0", world="matrix_game_3_small", device="cpu", action_space="keyboard_mouse"
    )
    check_env(env.unwrapped, skip_render_check=True)
    assert isinstance(env.unwrapped.world, BaseWorld)
    first, _ = env.reset(seed=0, options={"prompt": "a harbour at dusk"})
    other, _ = env.reset(seed=0, options={"prompt": "a harbour at dusk"})
    assert np.array_equal(first, other)
    action = np.array([1, 0, 0, 0, 0.5, 0], np.float32)
    observation, _, _, _, info = env.step(action)
    assert observation.shape == (env.unwrapped.world.spec.chunk_frames, 64, 128, 3) == (24, 64, 128, 3)
    assert info["motion"][-1].tolist() == pytest.approx([3.0, 0.0, 0.0, MOTION.translation])
    state = env.unwrapped.save_state()
    ahead = env.step(action)[0]
    env.unwrapped.restore_state(state)
    assert np.array_equal(env.step(action)[0], ahead)


@pytest.mark.parametrize("decoder", ["full", "light", "lighter"])
def test_a_checkpoint_folder_becomes_an_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoder: str
) -> None:
    """Upstream's layout, tiny widths; only the pictures are smaller than the published 704 x 1280."""
    for library in ("diffusers", "transformers", "ftfy"):
        pytest.importorskip(library)
    write_checkpoint(tmp_path)
    small = partial(load, frame_size=(64, 96), clip_frames=16, first_clip_frames=17, decoder=decoder)
    entry = replace(world_entry("matrix_game_3"), loader=small)
    monkeypatch.setitem(registry._entries(), "matrix_game_3", entry)
    env = gymnasium.make("LightInteraction/Explore-v0", world="matrix_game_3", weights=str(tmp_path), device="cpu")
    image = np.random.default_rng(0).integers(0, 256, (50, 90, 3), np.uint8)
    first, _ = env.reset(seed=0, options={"image": image, "prompt": "a street in the rain"})
    assert first.shape == (16, 64, 96, 3)
    for action in (1, 6, 5):
        observation, _, _, truncated, _ = env.step(action)
        assert observation.shape == (16, 64, 96, 3) and observation.std() > 0 and not truncated
    assert env.unwrapped.plan["slots"]


def test_prompts_matter() -> None:
    env = LightInteractionEnv(world=load_world("matrix_game_3_small", device="cpu"), action_space="discrete")
    frames = []
    for prompt in ("a harbour", "a desert"):
        env.reset(seed=0, options={"start": 0, "prompt": prompt})
        frames.append(env.step(1)[0])
    assert not np.array_equal(*frames)


@pytest.mark.parametrize("action_space", ["discrete", "continuous", "keyboard_mouse"])
def test_action_spaces(action_space: str) -> None:
    env = LightInteractionEnv(world=load_world("matrix_game_3_small", device="cpu"), action_space=action_space)
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(3):
        *_, info = env.step(env.action_space.sample())
        assert np.isfinite(info["pose"]).all()


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"clip_frames=41 is not possible: the model makes 16, 20, ... 40 frames"):
        load(clip_frames=41)
    with pytest.raises(ValueError, match=r"first_clip_frames=60 is not possible: the model makes 17, 21, ... 57 fr"):
        load(first_clip_frames=60)
    with pytest.raises(ValueError, match=r"frame_size=\(700, 1280\) is not possible; allowed: \(height, width\), mul"):
        load(frame_size=(700, 1280))
    with pytest.raises(ValueError, match="weights='/somewhere' contradicts random_weights"):
        load(weights="/somewhere", random_weights=True)
    with pytest.raises(ValueError, match="decoder='heavy' is unknown"):
        load(decoder="heavy")
    env = LightInteractionEnv(world=load_world("matrix_game_3_small", device="cpu"), action_space="keyboard_mouse")
    env.reset(seed=0)
    with pytest.raises(ValueError, match="outside the keyboard_mouse space; allowed: 6 numbers from"):
        env.step(np.array([0, 0, 0, 0, 1.2, 0], np.float32))


def test_many_clips_take_several_model_calls(world: MatrixGame3World, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, states = start(world, AccelConfig.preset("off"), [1, 2, 3])
    together, expected = engine.step(states, [(HELD["j"],) * 14] * 3)
    monkeypatch.setattr(world_module, "BATCH_TOKENS", 2 * 15 * 32)
    calls: list[int] = []
    forward = world.model.forward
    monkeypatch.setattr(world.model, "forward", lambda x, *rest: calls.append(len(x)) or forward(x, *rest))
    _, results = engine.step(states, [(HELD["j"],) * 14] * 3)
    assert calls == [2, 2, 2, 1, 1, 1]
    for one, other in zip(results, expected, strict=True):
        torch.testing.assert_close(one.latents, other.latents, atol=2e-5, rtol=0)
    assert len(together) == 3


def test_memory_for_worlds() -> None:
    """Published sizes in bfloat16: 6.2 GB of camera scales and shifts for one clip, 0.19 GB of text per episode."""
    spec = world_spec(PUBLISHED)
    one, two = (working_bytes(PUBLISHED, spec, 2, worlds) for worlds in (1, 2))
    assert 8e9 < one < 10e9
    assert two - one == 2 * 2 * 30 * 3072 * 512, "one clip fills a model call, so only the text is added"
