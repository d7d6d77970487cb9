"""The freedoom world follows attention plans (packaged weights, CPU)."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.planning.attention import BlockSparseAttention
from li_env.accel.world import ChunkRequest
from li_env.worlds.freedoom.spec import SPEC
from li_env.worlds.freedoom.world import FreedoomScene, FreedoomWorld, load

CONTEXT = 8
DENSE = AttentionPlan()


@pytest.fixture(scope="module")
def world() -> Iterator[FreedoomWorld]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield load("cpu")
    torch.set_num_threads(before)


def request(attention: AttentionPlan, seed: int) -> ChunkRequest:
    """Make a request for a chunk after a walk along a bend, with random latents."""
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(CONTEXT + 4, *SPEC.latent_shape, generator=generator)
    poses = np.tile(np.eye(4), (CONTEXT + 4, 1, 1))
    angles = 0.1 * np.arange(CONTEXT + 4)
    poses[:, 0, 0], poses[:, 0, 2], poses[:, 2, 0], poses[:, 2, 2] = (
        np.cos(angles),
        np.sin(angles),
        -np.sin(angles),
        np.cos(angles),
    )
    poses[:, 2, 3] = 0.75 * np.arange(CONTEXT + 4)
    plan = ChunkPlan(5, "explore", 0.0, tuple(range(CONTEXT)), (), (1.0, 0.5, 0.0), attention, "test")
    scene = FreedoomScene(latents[0])
    context, noise = latents[:CONTEXT], latents[CONTEXT:]
    return ChunkRequest(scene, plan, poses[CONTEXT:], (), context, poses[:CONTEXT], noise)


def relative(x: torch.Tensor, reference: torch.Tensor) -> float:
    return float((x - reference).norm() / reference.norm())


def test_all_tiles_kept_equals_dense_and_fewer_do_not(world: FreedoomWorld) -> None:
    (dense,) = world.generate([request(DENSE, 0)])
    (everything,) = world.generate([request(AttentionPlan("block_sparse", 1.0, 1.0), 0)])
    (some,) = world.generate([request(AttentionPlan("block_sparse", 0.175, 0.3), 0)])
    assert relative(everything, dense) < 1e-5
    assert 1e-4 < relative(some, dense) < 1.0


def test_different_attention_in_one_call(world: FreedoomWorld) -> None:
    sparse = AttentionPlan("block_sparse", 0.3, 0.5)
    requests = [request(sparse, 0), request(DENSE, 1), request(sparse, 2)]
    for together, each in zip(world.generate(requests), requests, strict=True):
        (alone,) = world.generate([each])
        assert relative(together, alone) < 1e-5


def test_presets_use_dense_attention_where_sparse_is_slower() -> None:
    policy = BlockSparseAttention(SPEC, AccelConfig.preset("sparse"))
    plan, reason = policy.choose("explore", SPEC.context_latents)
    assert plan == DENSE and "faster" in reason
