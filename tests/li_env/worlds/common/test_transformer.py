"""The readable transformer against the original HY-WorldPlay code (tiny random weights, float32)."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from li_env.worlds.common.transformer import BlockCache, VideoTransformer, sinusoid
from tests.li_env.worlds.hy_worldplay.test_calls import inputs
from tests.li_env.worlds.hy_worldplay.test_cameras import stored_tables
from tests.li_env.worlds.hy_worldplay.tiny import close, facts, tensors, tiny_model


@pytest.fixture(scope="module")
def model() -> VideoTransformer:
    return tiny_model()


def text_cache() -> list[BlockCache]:
    return [
        (key.repeat(2, 1, 1, 1), value.repeat(2, 1, 1, 1))
        for key, value in zip(tensors()["txt/k"], tensors()["txt/v"], strict=True)
    ]


def test_embedders(model: VideoTransformer) -> None:
    close(model.time_in(tensors()["emb/time_values"]), "emb/time_out", 2e-5)
    close(model.action_in(tensors()["emb/action_values"]), "emb/action_out", 2e-5)
    assert sinusoid(torch.zeros(1)).tolist() == [[1.0] * 128 + [0.0] * 128]


@pytest.mark.parametrize("case", facts()["cases"], ids=lambda case: case["name"])
def test_context_and_denoising_calls(case: dict[str, Any], model: VideoTransformer) -> None:
    name, current, history = case["name"], list(range(*case["current_frames"])), case["context_frames"]
    context = text = text_cache()
    if history:
        x, action = inputs(history)
        time = torch.full((1, len(history)), float(case["context_timestep"]))
        own = model.context_pass(x, time, stored_tables(history), text, action)
        for ours, letter in zip(own[-1], "kv", strict=True):
            whole = tensors().get(f"{name}/{letter}_vision")
            expected = tensors()[f"{name}/{letter}_vision_last"] if whole is None else whole[-1]
            torch.testing.assert_close(ours, expected, atol=5e-5, rtol=0)
        context = [
            (torch.cat((words[0], seen[0]), dim=2), torch.cat((words[1], seen[1]), dim=2))
            for words, seen in zip(text, own, strict=True)
        ]
    x, action = inputs(current)
    time = torch.full((1, len(current)), float(case["timestep"]))
    out = model(x, time, stored_tables(current, len(history)), context, action)
    expected = tensors()[f"{name}/noise_pred"]
    torch.testing.assert_close(out.permute(0, 3, 1, 2).view(expected.shape), expected, atol=2e-5, rtol=0)
