"""Micro-batches, and networks run in fused passes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from li_env.accel.plan import AttentionPlan
from li_env.accel.world import MotionRequest
from li_env.worlds.freedoom.batching import GPU_MICRO_BATCHES, micro_batch_size, micro_batches
from li_env.worlds.freedoom.dynamics_fused import is_fast
from li_env.worlds.freedoom.world import CameraMotion, FreedoomWorld, load
from tests.li_env.worlds.freedoom.test_world import relative, request
from tests.narrow_freedoom import narrow_freedoom

DENSE = AttentionPlan()


@pytest.fixture(scope="module")
def plain() -> FreedoomWorld:
    return load("cpu")


@pytest.fixture(scope="module")
def fused() -> FreedoomWorld:
    return load("cpu", execution="fused")


def test_micro_batches_have_one_size_and_the_last_is_filled_up() -> None:
    assert list(micro_batches([1, 2, 3, 4, 5], 2)) == [(2, [1, 2]), (2, [3, 4]), (1, [5, 5])]
    assert list(micro_batches([], 2)) == []
    cuda = torch.device("cuda")
    assert [micro_batch_size(count, cuda) for count in (1, 8, 9, 33, 512)] == [8, 8, 32, 64, 64]
    assert micro_batch_size(512, torch.device("cpu")) == 1
    assert list(GPU_MICRO_BATCHES) == sorted(GPU_MICRO_BATCHES)


def test_by_default_only_a_gpu_with_kernels_leaves_the_plain_model(plain, monkeypatch) -> None:
    assert (plain.execution, plain.dtype) == ("plain", torch.float32)
    for there in (True, False):
        monkeypatch.setattr("li_env.worlds.freedoom.dynamics_fused.uses_triton", lambda device, there=there: there)
        assert is_fast(torch.device("cuda")) is there
        assert not is_fast(torch.device("cpu"))
    monkeypatch.setattr("li_env.worlds.freedoom.world.is_fast", lambda device: True)
    with pytest.raises(ValueError, match="execution='graphs' needs a CUDA device, not cpu"):
        load("cpu")


@pytest.mark.parametrize("attention", [DENSE, AttentionPlan("block_sparse", 1.0, 1.0)])
def test_fused_passes_give_the_chunk_of_the_plain_model(plain, fused, attention) -> None:
    asked = request(attention, 0)
    opening = replace(asked, context=asked.context[:0], context_poses=asked.context_poses[:0])
    for each in (asked, opening) if attention == DENSE else (asked,):
        assert relative(fused.generate([each])[0], plain.generate([each])[0]) < 1e-4


def test_fused_passes_keep_episodes_of_a_micro_batch_apart(monkeypatch) -> None:
    """Compute a micro-batch of three on a CPU with different cameras and latents."""
    fused = narrow_freedoom("fused")
    asked = [request(DENSE, seed) for seed in range(4)]
    asked[1] = replace(asked[1], poses=asked[1].poses[::-1].copy(), context_poses=asked[1].context_poses[::-1].copy())
    alone = [fused.generate([each])[0] for each in asked]
    monkeypatch.setattr("li_env.worlds.freedoom.world.micro_batch_size", lambda count, device: 3)
    for together, each in zip(fused.generate(asked), alone, strict=True):
        assert relative(together, each) < 1e-4
    for together, each in zip(fused.decode(alone, [None] * 4)[0], alone, strict=True):
        assert together.shape == (4, 96, 128, 3)
        difference = torch.from_numpy(together).int() - fused.decode_on_device([each], [None])[0][0].int()
        assert difference.abs().max() <= 1


def test_motions_of_a_micro_batch_are_those_of_single_episodes(plain, monkeypatch) -> None:
    ahead = (CameraMotion(forward=0.75),) * 4
    asked = [
        MotionRequest(each.scene, each.poses[-1], ahead, each.context, each.context_poses)
        for each in (request(DENSE, seed) for seed in range(3))
    ]
    asked.append(replace(asked[0], recent=asked[0].recent[:0], recent_poses=asked[0].recent_poses[:0]))
    asked.append(replace(asked[0], motions=()))
    alone = [plain.feasible_motions([each])[0] for each in asked]
    monkeypatch.setattr("li_env.worlds.freedoom.world.micro_batch_size", lambda count, device: 2)
    for together, each in zip(plain.feasible_motions(asked), alone, strict=True):
        assert len(together) == len(each)
        for one, two in zip(together, each, strict=True):
            assert (one.yaw, one.right, one.forward) == pytest.approx((two.yaw, two.right, two.forward), abs=1e-4)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"dtype": "float16"}, "dtype='float16' is unknown.* allowed: float32, bfloat16, auto"),
        ({"execution": "fast"}, "execution='fast' is unknown.* allowed: plain, fused, graphs"),
        ({"execution": "graphs"}, "execution='graphs' needs a CUDA device, not cpu"),
    ],
)
def test_bad_arguments(kwargs, message) -> None:
    with pytest.raises(ValueError, match=message):
        load("cpu", **kwargs)


def test_half_precision_stays_close(plain) -> None:
    half = load("cpu", dtype="bfloat16", execution="fused")
    asked = request(DENSE, 0)
    assert relative(half.generate([asked])[0], plain.generate([asked])[0]) < 0.1
