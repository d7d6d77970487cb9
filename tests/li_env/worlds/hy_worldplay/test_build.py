"""What a chunk needs beside the weights, and worlds of random weights."""

from __future__ import annotations

import pytest
import torch

from li_env.worlds.hy_worldplay.build import random_world, working_bytes
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from li_env.worlds.hy_worldplay.world import GRID
from tests.li_env.worlds.hy_worldplay.test_world import SMALL


def test_working_memory_of_the_published_model() -> None:
    """Compare with 13.8 GB for 20 context latents, projections stored once (docs/spec/hy_worldplay.md, section 8.2)."""
    needed = working_bytes(HYWorldPlayConfig(), GRID, itemsize=2)
    assert 13.8e9 + 0.4e9 < needed < 18e9
    assert working_bytes(HYWorldPlayConfig(), GRID, itemsize=4) == 2 * needed
    assert working_bytes(HYWorldPlayConfig(depth=27), GRID, itemsize=2) < 0.6 * needed


def test_random_weights_are_equal_in_every_process_and_leave_the_text_stream_out() -> None:
    one, other = (random_world(SMALL, torch.device("cpu"), (2, 3)) for _ in range(2))
    wanted = one.parts.model.vision_parameters()
    assert all(torch.equal(*pair) for pair in zip(wanted, other.parts.model.vision_parameters(), strict=True))
    assert all(parameter.isfinite().all() and parameter.device.type == "cpu" for parameter in wanted)
    text = {parameter.device.type for module in one.parts.model.text_modules() for parameter in module.parameters()}
    assert text == {"meta"}


@pytest.mark.parametrize("prompt", ["", "a", "b"])
def test_text_is_a_function_of_the_prompt(prompt: str) -> None:
    world = random_world(SMALL, torch.device("cpu"), (2, 3))
    frames = world.start_views.images
    assert frames is not None
    first, second, other = world.start([frames[0]] * 3, [prompt, prompt, "c"])
    assert torch.equal(first.text.keys, second.text.keys)
    assert not torch.equal(first.text.keys, other.text.keys)
