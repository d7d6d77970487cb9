"""The large size on a GPU: fused passes, kernels at 12 x 16 tokens, dense and block-sparse, and a little training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.world import ChunkRequest
from li_env.worlds.freedoom.dynamics import LATENT_CHANNELS, DynamicsModel
from li_env.worlds.freedoom.sizes import LARGE
from li_env.worlds.freedoom.training import dynamics
from li_env.worlds.freedoom.training.store import LatentStore
from li_env.worlds.freedoom.weights import load_weights, packaged_folder
from li_env.worlds.freedoom.world import FreedoomScene, FreedoomWorld, load_large

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

CONTEXT = 20


@pytest.fixture(scope="module")
def worlds() -> Iterator[dict[str, FreedoomWorld]]:
    """Make the large world with the small size's weights, run plainly and by graphs."""
    yield {
        "plain": load_large("cuda", packaged_folder(), dtype="float32", execution="plain"),
        "graphs": load_large("cuda", packaged_folder(), dtype="bfloat16", execution="graphs"),
    }


def request(world: FreedoomWorld, attention: AttentionPlan) -> ChunkRequest:
    """Make a request for a chunk after a straight walk past the world's start frames."""
    frames = np.stack([world.start_views.images[index % len(world.start_views)] for index in range(CONTEXT)])
    latents = world.encode(frames).float()
    poses = np.tile(np.eye(4), (CONTEXT + 4, 1, 1))
    poses[:, 2, 3] = 0.75 * np.arange(CONTEXT + 4)
    noise = torch.randn(4, *world.spec.latent_shape, generator=torch.Generator().manual_seed(0)).cuda()
    plan = ChunkPlan(9, "explore", 0.0, tuple(range(CONTEXT)), (), world.spec.sigmas, attention, "test")
    return ChunkRequest(FreedoomScene(latents[0]), plan, poses[CONTEXT:], (), latents, poses[:CONTEXT], noise)


@pytest.mark.parametrize("attention", [AttentionPlan(), AttentionPlan("block_sparse", 0.3, 0.5)])
def test_fused_passes_make_what_the_plain_model_makes(
    worlds: dict[str, FreedoomWorld], attention: AttentionPlan
) -> None:
    made = {}
    for name, world in worlds.items():
        (made[name],) = world.generate([request(world, attention)])
        assert made[name].shape == (4, 64, 12, 16)
    # bfloat16 against float32; block-sparse attention may choose other tiles where two are nearly equal.
    error = (made["graphs"] - made["plain"]).norm() / made["plain"].norm()
    assert error < (0.1 if attention.kind == "dense" else 0.25)


def test_all_tiles_kept_equals_dense_attention(worlds: dict[str, FreedoomWorld]) -> None:
    world = worlds["graphs"]
    (dense,) = world.generate([request(world, AttentionPlan())])
    (everything,) = world.generate([request(world, AttentionPlan("block_sparse", 1.0, 1.0))])
    assert (everything - dense).norm() / dense.norm() < 0.1


def test_two_steps_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamics, "compile_blocks", lambda model: None)  # takes minutes
    monkeypatch.setattr(dynamics, "draw_window", lambda *_: dynamics.Window(12, 8))
    generator = torch.Generator("cuda").manual_seed(0)
    latents = torch.randn(8, 32, LARGE.tokens, LATENT_CHANNELS, device="cuda", generator=generator).half()
    store = LatentStore(latents, torch.randn(8, 32, 3, device="cuda", generator=generator).mul(0.3).cumsum(1))
    model = DynamicsModel(grid=LARGE.token_grid).cuda()
    load_weights({"dynamics": model}, packaged_folder())
    entries: list[dict[str, float]] = []
    stage = dynamics.DynamicsStage(steps=2, batch=2)
    dynamics.train_dynamics(model, store, stage, entries.append, lambda _: {}, tmp_path / "state.safetensors")
    assert entries[-1]["step"] == 2 and np.isfinite(entries[0]["loss"])
