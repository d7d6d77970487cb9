"""Frames of every world on a GPU are those of the CPU: same seed, same actions, end to end through environments."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import li_env  # noqa: F401
from li_env.env import LightInteractionEnv
from li_env.metrics import psnr
from li_env.vector_env import LightInteractionVectorEnv
from li_env.worlds import load_world
from li_env.worlds.freedoom.dynamics_fused import EXECUTIONS

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

SAME = 30.0
"""dB. Frames of another map have about 15; bfloat16 instead of float32 costs two chunks some 40."""

ACTIONS = (1, 4)
"""Forward, then turning: of the discrete action space."""

SEEDS = (0, 1, 2, 3)


def host(frames: Any) -> np.ndarray:
    return frames.cpu().numpy() if isinstance(frames, torch.Tensor) else frames


def check(ours: Any, expected: np.ndarray) -> None:
    """Look at every frame by itself: one of many that is wrong must not hide."""
    ours = host(ours)
    assert ours.shape == expected.shape and ours.dtype == np.uint8
    assert float(psnr(torch.from_numpy(ours), torch.from_numpy(expected)).min()) >= SAME


@cache
def freedoom_on_the_cpu(preset: str) -> np.ndarray:
    """[seeds, actions, T, H, W, 3]"""
    env = LightInteractionEnv(load_world("freedoom", device="cpu"), preset=preset)
    out = []
    for seed in SEEDS:
        env.reset(seed=seed)
        out.append([env.step(action)[0] for action in ACTIONS])
    return np.array(out)


@pytest.mark.parametrize("preset", ["off", "all"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("execution", EXECUTIONS)
def test_one_freedoom_world(execution, dtype, preset):
    env = LightInteractionEnv(load_world("freedoom", device="cuda", execution=execution, dtype=dtype), preset=preset)
    for seed, expected in zip(SEEDS[:2], freedoom_on_the_cpu(preset), strict=False):
        env.reset(seed=seed)
        for action, frames in zip(ACTIONS, expected, strict=True):
            check(env.step(action)[0], frames)


@pytest.mark.parametrize("device_obs", [False, True])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("execution", EXECUTIONS)
def test_many_freedoom_worlds(execution, dtype, device_obs):
    world = load_world("freedoom", device="cuda", execution=execution, dtype=dtype)
    env = LightInteractionVectorEnv(len(SEEDS), world=world, preset="all", device_obs=device_obs)
    env.reset(seed=list(SEEDS))
    for number, action in enumerate(ACTIONS):
        frames = env.step(np.full(len(SEEDS), action))[0]
        assert isinstance(frames, torch.Tensor) == device_obs
        check(frames, freedoom_on_the_cpu("all")[:, number])


def test_many_chunks_stay_pictures():
    """Compare a float32 world with the CPU after eight chunks: the history is what frames were decoded from."""
    shown = []
    for device in ("cpu", "cuda"):
        env = LightInteractionEnv(load_world("freedoom", device=device, dtype="float32"), preset="off")
        env.reset(seed=5)
        shown.append(np.concatenate([env.step(action)[0] for action in (1, 1, 3, 1, 4, 4, 1, 1)]))
    check(shown[1], shown[0])


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory) -> dict[str, Path]:
    """Tiny checkpoints of the two large worlds in their published layouts."""
    for package in ("diffusers", "transformers"):
        pytest.importorskip(package)
    from tests.li_env.worlds.hy_worldplay import tiny_checkpoint as hy
    from tests.li_env.worlds.matrix_game_3 import tiny_checkpoint as matrix_game

    folders = {name: tmp_path_factory.mktemp(name) for name in ("hy_worldplay", "matrix_game_3")}
    hy.write_checkpoint(folders["hy_worldplay"])
    matrix_game.write_checkpoint(folders["matrix_game_3"])
    return folders


def large_world(name: str, folder: Path, device: str, worlds: int, device_obs: bool = False) -> list[Any]:
    image = np.kron(np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    env = gymnasium.make_vec(
        "LightInteraction/Explore-v0", worlds, vectorization_mode="vector_entry_point", world=name,
        weights=str(folder), device=device, preset="all", device_obs=device_obs,
    )  # fmt: skip
    env.reset(seed=3, options={"image": image, "prompt": "a street"})
    frames = [host(env.step(np.full(worlds, action))[0]) for action in ACTIONS]
    env.close()
    return frames


@pytest.mark.parametrize("name", ["hy_worldplay", "matrix_game_3"])
def test_large_worlds(checkpoints, name):
    expected = large_world(name, checkpoints[name], "cpu", 2)
    for device_obs in (False, True):
        for ours, frames in zip(large_world(name, checkpoints[name], "cuda", 2, device_obs), expected, strict=True):
            check(ours, frames)
