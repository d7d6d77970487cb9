"""Construction of the world: from a published checkpoint, or with random weights of the same shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from li_env.worlds.common.stub_codec import coloured_blocks
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig
from li_env.worlds.hy_worldplay.parts import Parts, random_parts
from li_env.worlds.hy_worldplay.text import TextCache
from li_env.worlds.hy_worldplay.world import GRID, HYWorldPlayWorld, world_spec

TEXT_TOKENS = 1100
"""More text tokens than most prompts and an image make."""


def load(
    device: str = "cpu",
    weights: str | Path | None = None,
    random_weights: bool = False,
    tiny_decoder: str | Path | None = None,
) -> HYWorldPlayWorld:
    """Load the published model; on a GPU in bfloat16, on a CPU in float32.

    Args:
        device: ``cpu`` or ``cuda``.
        weights: folder of the checkpoint; ``None`` takes the environment variable ``LI_ENV_HY_WORLDPLAY``.
        random_weights: the published shape with random weights, no encoders and blocks of colour for frames. For
            measuring: speed does not depend on the values.
        tiny_decoder: a checkpoint of the TAEHV kind for this autoencoder's latents (``taehv1_5.pth``): rougher frames
            in a few milliseconds.

    Raises:
        ValueError: missing or other weights, too little memory, or files together with ``random_weights``.
    """
    target = torch.device(device)
    if not random_weights:
        return published_world(weights, target, tiny_decoder)
    for name, given in (("weights", weights), ("tiny_decoder", tiny_decoder)):
        if given is not None:
            raise ValueError(f"{name}={str(given)!r} and random_weights=True exclude each other")
    return random_world(HYWorldPlayConfig(), target, GRID)


def random_world(config: HYWorldPlayConfig, device: torch.device, grid: tuple[int, int]) -> HYWorldPlayWorld:
    """Make a world with random weights of these sizes that starts on frames of coloured noise."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    return HYWorldPlayWorld(random_parts(config, device, dtype), device, grid, start_frames=coloured_blocks(grid))


def published_world(
    weights: str | Path | None, device: torch.device, tiny_decoder: str | Path | None = None
) -> HYWorldPlayWorld:
    """Make a world from a checkpoint folder."""
    from li_env.worlds.hy_worldplay.loader import load_parts

    itemsize = 2 if device.type == "cuda" else 4
    loaded = load_parts(weights, device, lambda config: working_bytes(config, GRID, itemsize), tiny_decoder)

    def remember(prompt: str, image: np.ndarray) -> TextCache:
        return loaded.model.text_cache(loaded.conditioner(prompt, image))

    return HYWorldPlayWorld(Parts(loaded.model, loaded.vae, remember), device, GRID)


def working_bytes(config: HYWorldPlayConfig, grid: tuple[int, int], itemsize: int) -> int:
    """Return the memory that a chunk with the longest context needs besides the weights.

    The context's projections, keys and values of one block in both branches, the text cache, and the peak of the
    context pass: the feed-forward layer with the tensors still held around it.
    """
    spec = world_spec(config, grid)
    context = spec.context_latents * grid[0] * grid[1]
    everything = context + spec.chunk_latents * grid[0] * grid[1] + TEXT_TOKENS
    rows = 2 * config.depth * (context + TEXT_TOKENS) + 4 * everything + (6 + config.mlp_ratio) * context
    return int(itemsize * config.hidden_size * rows)
