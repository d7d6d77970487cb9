from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.world import ChunkRequest
from li_env.worlds.freedoom.world import FreedoomWorld, load

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def request(world: FreedoomWorld, seed: int, context: int, sigmas: tuple[float, ...]) -> ChunkRequest:
    """Make a request for a chunk after a walk ahead, with random latents."""
    spec = world.spec
    count = context + spec.chunk_latents
    numbers = torch.randn((count, *spec.latent_shape), generator=torch.Generator().manual_seed(seed)).to(world.device)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, 2, 3] = spec.motion.translation * np.arange(count)
    plan = ChunkPlan(9, "explore", 0.0, tuple(range(context)), (), sigmas, AttentionPlan(), "test")
    scene = world.start(world.start_views.images[:1], [""])[0]
    return ChunkRequest(scene, plan, poses[context:], (), numbers[:context], poses[:context], numbers[context:])


@pytest.mark.parametrize("worlds", [8, 64])
@pytest.mark.parametrize("context", [8, 20])
@pytest.mark.parametrize("execution", ["graphs", "fused"])
def test_a_world_gets_the_same_bits_beside_longer_schedules(worlds, context, execution):
    world = load("cuda", execution=execution)
    long = [request(world, seed, context, world.spec.sigmas) for seed in range(worlds)]
    short = [replace(each, plan=replace(each.plan, sigmas=(1.0, 0.25, 0.0))) for each in long]
    split = worlds - worlds // 3
    with torch.inference_mode():
        apart = world.generate(long)[:split] + world.generate(short)[split:]
        together = world.generate(long[:split] + short[split:])
    for one, other in zip(together, apart, strict=True):
        assert torch.equal(one, other)
