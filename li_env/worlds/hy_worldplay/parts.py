"""Parts of the world, and a stub of them with random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from li_env.worlds.common.streaming_codec import VideoCodec
from li_env.worlds.common.stub_codec import StubCodec
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from li_env.worlds.hy_worldplay.model import HYWorldPlayModel
from li_env.worlds.hy_worldplay.text import TextCache


@dataclass(frozen=True, eq=False)
class Parts:
    """A model that is ready to run.

    Attributes:
        model: its vision stream lies on the device to run on; the text stream may be elsewhere.
        codec: image to latent, latents to frames.
        remember: (prompt, start image uint8 [H, W, 3]) -> text cache, on the device of the vision stream.
    """

    model: HYWorldPlayModel
    codec: VideoCodec
    remember: Callable[[str, np.ndarray], TextCache]


def random_parts(
    config: HYWorldPlayConfig, device: torch.device, dtype: torch.dtype, text_tokens: int = 900, seed: int = 0
) -> Parts:
    """Make a model with random weights of these sizes, for benchmarks and tests: speed does not depend on the values.

    The text stream has no weights and takes no memory; the text cache is random, a function of the prompt alone.
    """
    with torch.device("meta"):
        model = HYWorldPlayModel(config).to(dtype)
    generator = torch.Generator(device).manual_seed(seed)
    wanted = {id(parameter) for parameter in model.vision_parameters()}
    for name, parameter in list(model.named_parameters()):
        if id(parameter) in wanted:
            owner, _, leaf = name.rpartition(".")
            value = torch.randn(parameter.shape, generator=generator, device=device, dtype=dtype)
            value *= max(1, parameter[0].numel()) ** -0.5
            setattr(model.get_submodule(owner), leaf, torch.nn.Parameter(value, requires_grad=False))
    model.eval().requires_grad_(False)

    def remember(prompt: str, image: np.ndarray) -> TextCache:
        own = torch.Generator(device).manual_seed(seed + sum(prompt.encode()))
        shape = (config.depth, config.heads, text_tokens, config.head_dim)
        keys, values = (torch.randn(shape, generator=own, device=device, dtype=dtype) for _ in range(2))
        return TextCache(keys, values)

    return Parts(model, StubCodec(config.latent_channels, device), remember)
