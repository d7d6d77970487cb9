"""Fused token kernels and the HY-WorldPlay passes in bfloat16 on a GPU. Skips itself without one."""

from __future__ import annotations

import pytest
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.plan import AttentionPlan
from li_env.accel.runtime.engine import Engine
from li_env.kernels.gated_norm import gated_norm, naive_gated_norm
from li_env.kernels.rope_prope import join_branches, naive_join_branches, naive_split_branches, split_branches
from li_env.worlds.hy_worldplay.build import random_world
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from li_env.worlds.hy_worldplay.world import HYWorldPlayWorld
from tests.kernels.problems import relative_rms
from tests.li_env.worlds.hy_worldplay.test_world import FORWARD, begin, plan, request, steps

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

TOKENS, HEADS, WIDTH, FRAMES = 1571, 16, 128, 7
CONFIG = HYWorldPlayConfig(8, 256, 2, 4, 4.0, (16, 56, 56), text_width=8, vision_width=8, byt5_widths=(8, 8, 8))


def random(*shape: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    return torch.randn(*shape, device="cuda").to(dtype)


def frames() -> torch.Tensor:
    return torch.randint(0, FRAMES, (TOKENS,), device="cuda", dtype=torch.int32)


@pytest.mark.parametrize("branches", [0, 1, 2])
def test_gated_norm(branches: int) -> None:
    torch.manual_seed(0)
    vectors = random(2, FRAMES, 6 * 2048).chunk(6, dim=-1)
    z, parts, places = random(2, TOKENS, 2048), [random(2, TOKENS, 2048) for _ in range(branches)], frames()
    options = (vectors[2] if branches else None, vectors[0], vectors[1], places)
    exact_z = z.double()
    exact = naive_gated_norm(
        exact_z,
        [part.double() for part in parts],
        *(option if option is None or option is places else option.double() for option in options),  # type: ignore[arg-type]
    )
    ours_z, plain_z = z.clone(), z.clone()
    ours, plain = gated_norm(ours_z, parts, *options), naive_gated_norm(plain_z, parts, *options)
    assert relative_rms(ours, exact) <= 2 * relative_rms(plain, exact)
    assert relative_rms(ours_z, exact_z) <= 2 * relative_rms(plain_z, exact_z) + 1e-9


@pytest.mark.parametrize("normed", [True, False])
def test_branches(normed: bool) -> None:
    torch.manual_seed(1)
    matrices, places = random(1, FRAMES, 4, 4, dtype=torch.float32), frames()
    angle = random(TOKENS, WIDTH // 2, dtype=torch.float32)
    x, weight = random(1, TOKENS, HEADS * WIDTH), random(WIDTH)
    options = ((angle.cos(), angle.sin()), weight) if normed else (None, None)
    exact, plain, ours = (
        torch.zeros(2, HEADS, TOKENS + 5, WIDTH, device="cuda", dtype=dtype)[:, :, 5:]
        for dtype in (torch.float32, torch.bfloat16, torch.bfloat16)
    )
    naive_split_branches(x.float(), exact, matrices, places, options[0], None if not normed else weight.float())
    naive_split_branches(x, plain, matrices, places, *options)
    split_branches(x, ours, matrices, places, *options)
    assert relative_rms(ours, exact) <= 2 * relative_rms(plain, exact) + 1e-9
    joined, expected = join_branches(ours, matrices, places), naive_join_branches(ours.float(), matrices, places)
    assert relative_rms(joined, expected) <= 2 * relative_rms(naive_join_branches(ours, matrices, places), expected)


@pytest.fixture(scope="module")
def worlds() -> tuple[HYWorldPlayWorld, HYWorldPlayWorld]:
    """Make the same random weights in bfloat16 on the GPU and in float32 on the CPU."""
    fast = random_world(CONFIG, torch.device("cuda"), (6, 8))
    exact = random_world(CONFIG, torch.device("cpu"), (6, 8))
    for name, parameter in exact.parts.model.named_parameters():
        if parameter.device.type == "cpu":
            parameter.data = fast.parts.model.get_parameter(name).float().cpu()
    return fast, exact


@pytest.mark.parametrize("attention", [AttentionPlan(), AttentionPlan("block_sparse", 1.0, 1.0)])
def test_a_chunk_in_bfloat16_is_close_to_float32(
    worlds: tuple[HYWorldPlayWorld, HYWorldPlayWorld], attention: AttentionPlan
) -> None:
    fast, exact = worlds
    asked = request(exact, plan(tuple(range(8, 20)), attention))
    text = asked.scene.text
    moved = type(text)(text.keys.bfloat16().cuda(), text.values.bfloat16().cuda())
    scene = type(asked.scene)(moved, asked.scene.image.cuda())
    on_gpu = request(exact, asked.plan)
    on_gpu = type(on_gpu)(
        **{**vars(on_gpu), "scene": scene, "context": on_gpu.context.cuda(), "noise": on_gpu.noise.cuda()}
    )
    with torch.inference_mode():
        [ours], [expected] = fast.generate([on_gpu]), exact.generate([asked])
    assert relative_rms(ours.cpu(), expected) < 0.05


def test_episodes_are_repeatable_and_memory_does_not_grow(worlds: tuple[HYWorldPlayWorld, HYWorldPlayWorld]) -> None:
    engine = Engine(worlds[0], AccelConfig.preset("all"))
    ends, held = [], []
    for _ in range(2):
        [state] = begin(engine, 0)
        for chunk in range(24):
            motion = FORWARD if chunk % 8 < 4 else FORWARD.scaled(-1)
            [state], [result] = engine.step([state], [steps(state, motion)])
            assert not result.degenerated
            held.append(torch.cuda.memory_allocated())
        ends.append(result.latents)
    assert torch.equal(*ends)
    per_chunk = result.latents.nbytes
    assert held[23] - held[11] <= 12 * (per_chunk + 4096)
