"""The rivals on a GPU: bands and choices as on the CPU, and the same decisions by the fused path and the plain one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.plan import AttentionPlan
from li_env.accel.runtime.engine import Engine
from li_env.worlds.common.band_attention import BandShape, band_attention
from li_env.worlds.freedoom.world import load
from tests.kernels.problems import relative_rms

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@pytest.mark.parametrize("context", [4, 20])
def test_bands_equal_those_of_the_cpu(context: int) -> None:
    shape = BandShape(1560, (context, context + 4), (0, context + 4), 100, 2.0)
    generator = torch.Generator().manual_seed(0)
    counts = (4 * 1560, 100 + (context + 4) * 1560, 100 + (context + 4) * 1560)
    given = [torch.randn(2, 2, count, 128, generator=generator) for count in counts]
    expected, kinds = band_attention(*given, shape)
    made, found = band_attention(*(x.to("cuda", torch.bfloat16) for x in given), shape)
    same = found.cpu() == kinds
    assert float(same.float().mean()) >= 0.75  # heads of random numbers differ little through the two masks
    assert relative_rms(made.cpu().float()[same], expected[same]) < 1e-2


@pytest.mark.parametrize(
    "changes",
    [
        {"attention": AttentionPlan("bsa", 0.3125, 0.3125, dense_first_block=False)},
        {"attention": AttentionPlan("svg", band_width=2.0, dense_first_block=False)},
        {"reuse_threshold": 1e9},
    ],
    ids=["bsa", "svg", "teacache"],
)
def test_the_fused_path_computes_what_the_plain_one_does(changes) -> None:
    made = []
    for execution in ("plain", "fused", "graphs"):
        world = load("cuda", dtype="float32", execution=execution)
        engine = Engine(world, AccelConfig.preset("off"))
        (state,) = engine.start([world.start_views.images[0]], [""], [3])
        for chunk in range(4):
            motions = [(CameraMotion(yaw=15.0),) * world.spec.new_latents(chunk)]
            (state,), (result,) = engine.step([state], motions)
        plan = replace(result.plan, chunk=4, temporal=tuple(range(4, 16)), memory=(0, 1, 2, 3), **changes)
        _, (first,) = engine.step([state], [(CameraMotion(yaw=15.0),) * 4], [plan])
        _, (again,) = engine.step([state], [(CameraMotion(yaw=15.0),) * 4], [first.plan])
        assert torch.equal(again.latents, first.latents)
        made.append(first)
    for other in made[1:]:
        assert other.plan.computed == made[0].plan.computed
        assert relative_rms(other.latents.cpu(), made[0].latents.cpu()) < 2e-2
