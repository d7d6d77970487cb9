"""Matrix-Game-3.0 on a GPU: bfloat16 kernels, the fused feed-forward network, whole model calls."""

from __future__ import annotations

import pytest
import torch

from li_env.accel.plan import AttentionPlan
from li_env.kernels.residual_norm import add_camera_norm, add_cast, add_modulated_norm
from li_env.kernels.residual_norm.naive import naive_add, naive_camera_norm, naive_modulated_norm
from li_env.kernels.rms_rotary import rms_rotary
from li_env.kernels.rms_rotary.naive import naive_rms_rotary
from li_env.kernels.time_attention import naive_time_attention, time_attention
from li_env.worlds.matrix_game_3.build import random_world
from li_env.worlds.matrix_game_3.config import PUBLISHED, ActionConfig, MatrixGame3Config
from li_env.worlds.matrix_game_3.layout import ClipShape, token_layout
from li_env.worlds.matrix_game_3.model import Block, ClipCache, ClipConditions, MatrixGame3Model
from li_env.worlds.matrix_game_3.rotation import sequence_rotation, slot_rotation
from tests.kernels.problems import relative_rms

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

DEVICE = torch.device("cuda")
BF16 = torch.bfloat16
GRID = (11, 20)
SHAPE = ClipShape(GRID, 5, 4, 10)
CONFIG = MatrixGame3Config(
    in_dim=48, out_dim=48, dim=512, ffn_dim=1024, freq_dim=64, num_heads=4, num_layers=3, text_len=40, text_dim=64,
    action_config=ActionConfig((0, 1), 4, 16, 6, 256, 2, 256, (8, 28, 28)),
)  # fmt: skip


def layout(attention: AttentionPlan | None = None, dropped: int = 9):
    return token_layout(SHAPE, dropped, attention or AttentionPlan(), (4, 4, 8), 1, DEVICE)


def random(*shape: int, dtype: torch.dtype = BF16) -> torch.Tensor:
    return torch.randn(*shape, device=DEVICE).to(dtype)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


def test_residual_kernels() -> None:
    tokens, width, known = 2000, 3072, 700
    x, delta = random(1, tokens, width, dtype=torch.float32), random(1, tokens, width)
    gate, scale, shift = random(2, 6, width, dtype=torch.float32).unbind(1)[:3]
    camera, places = (random(50, width), random(50, width)), torch.randint(0, 50, (1, tokens), device=DEVICE).int()
    weight, bias = random(width), random(width)
    added = naive_add(x, delta, gate, known)
    for ours, expected in (
        (add_modulated_norm(x.clone(), delta, gate, scale, shift, known, BF16),
         (added, naive_modulated_norm(added, scale, shift, known, 1e-6))),
        (add_camera_norm(x.clone(), delta, gate, camera, places, weight, bias, known, BF16),
         (naive_camera_norm(added, *camera, places, weight, bias, 1e-6),) * 2),
        (add_cast(x.clone(), delta, BF16), (naive_add(x, delta, None, 0),) * 2),
    ):  # fmt: skip
        assert relative_rms(ours[0], expected[0]) < 1e-6
        assert relative_rms(ours[1], expected[1]) < 3e-3


def test_rotation_kernel() -> None:
    places = layout()
    latents = torch.tensor([[7, 300, 2, 2, 1, *range(400, 414)]])
    tables = sequence_rotation(PUBLISHED, latents, places)
    x, weight = random(1, len(places.frames), PUBLISHED.dim), random(PUBLISHED.dim)
    exact = naive_rms_rotary(x.float(), PUBLISHED.num_heads, weight, tables, 1e-6, False)
    assert relative_rms(rms_rotary(x, PUBLISHED.num_heads, weight, tables), exact) < 3e-3


def test_time_attention_kernel() -> None:
    for attention in (AttentionPlan(), AttentionPlan("block_sparse", 0.2)):
        places = layout(attention)
        slots = slot_rotation(PUBLISHED, places)
        qkv = random(1, len(places.frames), 3 * 1024)
        exact = naive_time_attention(qkv.float(), 16, places.lines, slots, 1e-6)
        assert relative_rms(time_attention(qkv, 16, places.lines, slots), exact) < 6e-3


def test_fused_feed_forward_is_the_plain_one() -> None:
    block = Block(PUBLISHED, 20).to(DEVICE, BF16)
    z = random(1, 500, PUBLISHED.dim)
    exact = block.float().ffn(z.float())
    assert relative_rms(block.to(BF16).feed_forward(z), exact) < 1e-2


def call(model: MatrixGame3Model, device: torch.device, dtype: torch.dtype, attention: AttentionPlan) -> torch.Tensor:
    places = token_layout(SHAPE, 9, attention, (4, 4, 8), 1, device)
    generator = torch.Generator().manual_seed(1)

    def given(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(device, dtype)

    text = model.embed_text(given(1, 20, CONFIG.text_dim))
    latents = torch.tensor([[7, 30, 2, 2, 1, *range(400, 414)]])
    views = torch.tensor([[0, 1, 0, 1, 2, *[3] * 4, *[2] * 10]], device=device)
    conditions = ClipConditions(
        latents, 0.5 * given(4, GRID[0] * GRID[1], 6144), views, given(1, 56, 2), given(1, 56, 6), text
    )
    cache: ClipCache = model.prepare(conditions, places)
    return model(given(1, 19, 48, 2 * GRID[0], 2 * GRID[1]), 908.0, cache)


@pytest.mark.parametrize("attention", [AttentionPlan(), AttentionPlan("block_sparse", 1.0, dense_first_block=False)])
def test_model_call_against_float32(attention: AttentionPlan) -> None:
    """Both kinds of attention, in bfloat16 through the kernels, against dense float32 in plain torch on the CPU."""
    model = random_world(torch.device("cpu"), CONFIG, (2 * GRID[0], 2 * GRID[1])).model
    exact = call(model, torch.device("cpu"), torch.float32, AttentionPlan())
    ours = call(model.to(DEVICE, BF16), DEVICE, BF16, attention).cpu()
    assert relative_rms(ours, exact) < 3e-2
