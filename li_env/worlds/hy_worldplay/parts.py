"""What the world is put together from, and a stand-in with random weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from li_env.worlds.hy_worldplay.model import HYWorldPlayModel
from li_env.worlds.hy_worldplay.text import TextCache
from li_env.worlds.streaming import DecodeStream, VideoCodec

PIXELS = 16
"""Pixels per latent place along each side."""


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


class BlockCodec:
    """Stands in for the autoencoder where there are no weights: shows latent channels 0 to 2 as blocks of colour."""

    def __init__(self, channels: int, device: torch.device) -> None:
        self._channels, self._device = channels, device

    def encode_image(self, image: np.ndarray) -> torch.Tensor:
        """See `VideoCodec.encode_image`."""
        height, width = image.shape[0] // PIXELS, image.shape[1] // PIXELS
        blocks = torch.from_numpy(image).float().view(height, PIXELS, width, PIXELS, 3).mean(dim=(1, 3)) / 127.5 - 1
        latent = torch.zeros(self._channels, height, width)
        latent[:3] = blocks.permute(2, 0, 1)
        return latent.to(self._device)

    def decode_batch(
        self, latents: Sequence[torch.Tensor], streams: Sequence[DecodeStream | None]
    ) -> tuple[list[np.ndarray], list[DecodeStream]]:
        """See `VideoCodec.decode_batch`."""
        return [self._frames(*each) for each in zip(latents, streams, strict=True)], [DecodeStream(())] * len(streams)

    def _frames(self, latents: torch.Tensor, stream: DecodeStream | None) -> np.ndarray:
        counts = torch.tensor([1 if stream is None and index == 0 else 4 for index in range(len(latents))])
        colours = ((latents[:, :3].float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()
        blocks = colours.permute(0, 2, 3, 1).repeat_interleave(counts, dim=0).numpy()
        return blocks.repeat(PIXELS, axis=1).repeat(PIXELS, axis=2)


def random_parts(
    config: HYWorldPlayConfig, device: torch.device, dtype: torch.dtype, text_tokens: int = 900, seed: int = 0
) -> Parts:
    """A model with random weights of these sizes, for benchmarks and tests: speed does not depend on the values.

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

    return Parts(model, BlockCodec(config.latent_channels, device), remember)
