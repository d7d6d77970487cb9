"""Construction of the world from the published checkpoint, or with random weights of the published sizes."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import torch

from li_env.validation import check_choice
from li_env.worlds.common.stub_codec import StubCodec, coloured_blocks
from li_env.worlds.matrix_game_3.config import LATENT_PIXELS, PUBLISHED, MatrixGame3Config
from li_env.worlds.matrix_game_3.model import PATCH, MatrixGame3Model
from li_env.worlds.matrix_game_3.stub_text import HashedStates
from li_env.worlds.matrix_game_3.time_axis import ClipSizes
from li_env.worlds.matrix_game_3.world import MatrixGame3World, working_bytes, world_spec

FRAME_SIZE = (704, 1280)
TOKEN_PIXELS = LATENT_PIXELS * PATCH


def load(
    device: str = "cpu",
    weights: str | Path | None = None,
    decoder: str = "full",
    first_clip_frames: int = ClipSizes.first,
    clip_frames: int = ClipSizes.later,
    frame_size: tuple[int, int] = FRAME_SIZE,
    random_weights: bool = False,
    tiny_decoder: str | Path | None = None,
) -> MatrixGame3World:
    """Load the world: bfloat16 on a GPU, float32 on a CPU.

    Args:
        device: ``cpu`` or ``cuda``.
        weights: the checkpoint folder; ``None`` takes the environment variable ``LI_ENV_MATRIX_GAME_3``.
        decoder: ``full``, or ``light`` or ``lighter`` at half or a quarter of its width.
        first_clip_frames: frames of an episode's first step, 4 n + 1 from 17 to 57.
        clip_frames: frames of every later step, 4 n from 16 to 40.
        frame_size: (height, width) in pixels, multiples of 32; the model was trained at 704 x 1280.
        random_weights: the published sizes with random numbers, and stubs of autoencoder and text encoder: for speed
            measurements.
        tiny_decoder: a checkpoint of the TAEHV kind for Wan2.2's latents (``taew2_2.pth``): rougher frames in a few
            milliseconds.

    Raises:
        ValueError: frames that the model cannot make, or what is wrong with the weights.
    """
    sizes = ClipSizes(first_clip_frames, clip_frames)
    grid = _latent_grid(frame_size)
    where = torch.device(device)
    if random_weights:
        for name, given in (("weights", weights), ("tiny_decoder", tiny_decoder)):
            if given is not None:
                raise ValueError(f"{name}={str(given)!r} contradicts random_weights; allowed: one of the two")
        return random_world(where, PUBLISHED, grid, sizes)
    from li_env.worlds.matrix_game_3.loader import Decoder, load_parts

    check_choice("decoder", decoder, get_args(Decoder))
    element = 2 if where.type == "cuda" else 4
    parts = load_parts(
        weights,
        where,
        decoder,  # type: ignore[arg-type]
        lambda config: working_bytes(config, world_spec(config, grid, sizes), element),
        tiny_decoder,
    )
    return MatrixGame3World(parts.model, parts.vae, parts.encoder, where, grid, sizes)


def random_world(
    device: torch.device,
    config: MatrixGame3Config = PUBLISHED,
    grid: tuple[int, int] | None = None,
    sizes: ClipSizes | None = None,
    seed: int = 0,
) -> MatrixGame3World:
    """Make a world of these sizes with random weights, latents of ``grid`` = (rows, columns) and stubs of the rest.

    It begins on frames of coloured blocks.
    """
    with torch.device("meta"):
        model = MatrixGame3Model(config)
    model = model.to(torch.bfloat16 if device.type == "cuda" else torch.float32).to_empty(device=device)
    generator = torch.Generator(device).manual_seed(seed)
    for name, parameter in model.named_parameters():
        norm = parameter.ndim == 1 and name.endswith("weight")
        spread = parameter[0].numel() ** -0.5 if parameter.ndim > 1 and "modulation" not in name else 0.02
        with torch.no_grad():
            parameter.normal_(1.0 if norm else 0.0, spread, generator=generator)
    model.eval().requires_grad_(False)
    shape = grid or _latent_grid(FRAME_SIZE)
    codec = StubCodec(config.in_dim, device)
    states = HashedStates(config.text_len, config.text_dim)
    return MatrixGame3World(model, codec, states, device, shape, sizes, coloured_blocks(shape))


def _latent_grid(frame_size: tuple[int, int]) -> tuple[int, int]:
    sides = tuple(frame_size)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 and side % TOKEN_PIXELS == 0 for side in sides):
        raise ValueError(f"frame_size={frame_size!r} is not possible; allowed: (height, width), multiples of 32")
    return sides[0] // LATENT_PIXELS, sides[1] // LATENT_PIXELS
