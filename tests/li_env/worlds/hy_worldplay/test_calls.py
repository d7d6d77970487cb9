"""Context passes and denoising calls against the original code, as the world carries them out."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from li_env.kernels.rope_prope import split_branches
from li_env.worlds.common.transformer import Block
from li_env.worlds.common.transformer_fused import Context, context_pass, denoise
from li_env.worlds.hy_worldplay.text import TextCache
from tests.li_env.worlds.hy_worldplay.test_cameras import stored_tables
from tests.li_env.worlds.hy_worldplay.tiny import close, conditioning, facts, tensors, tiny_model


@pytest.fixture(scope="module")
def text() -> TextCache:
    return tiny_model().text_cache(conditioning())


def inputs(frames: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens [1, T, n, 2C + 1] and labels [1, T]."""
    given = tensors()
    x = torch.cat((given["in/latents"][:, :, frames], given["in/cond_latents"][:, :, frames]), dim=1)
    return x.flatten(3).permute(0, 2, 3, 1), given["cam/action"][:, frames].float()


def both_branches(context: Context, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values [2, H, S, D] that a block sees of its context."""
    block: Block = tiny_model().double_blocks[index]  # type: ignore[assignment]
    tables = context.tables
    shape = (2, block.heads, len(context), tiny_model().config.head_dim)
    keys, values = torch.empty(shape), torch.empty(shape)
    weight = block.img_attn_k_norm.weight
    split_branches(context.keys[index], keys, tables.key, tables.frames, tables.rotation, weight)
    split_branches(context.values[index], values, tables.key, tables.frames)
    return keys, values


def compare_context(context: Context, name: str) -> None:
    compared = 0
    for kind in (0, 1):
        letter = "kv"[kind]
        if f"{name}/{letter}_vision" in tensors():
            ours = torch.stack([both_branches(context, index)[kind] for index in range(len(context.keys))])
            close(ours, f"{name}/{letter}_vision", 5e-5)
            compared += 1
        if f"{name}/{letter}_vision_last" in tensors():
            close(both_branches(context, -1)[kind], f"{name}/{letter}_vision_last", 5e-5)
            compared += 1
    assert compared >= 2


@pytest.mark.parametrize("case", facts()["cases"], ids=lambda case: case["name"])
def test_stored_calls(case: dict[str, Any], text: TextCache) -> None:
    model, name = tiny_model(), case["name"]
    current, history = list(range(*case["current_frames"])), case["context_frames"]
    context = None
    if history:
        x, action = inputs(history)
        time = torch.full((1, len(history)), float(case["context_timestep"]))
        context = context_pass(model, x, time, stored_tables(history), text, action)
        compare_context(context, name)
    x, action = inputs(current)
    time = torch.full((1, len(current)), float(case["timestep"]))
    out = denoise(model, x, time, stored_tables(current, len(history)), context, text, action)
    expected = tensors()[f"{name}/noise_pred"]
    torch.testing.assert_close(out.permute(0, 3, 1, 2).view(expected.shape), expected, atol=2e-5, rtol=0)
