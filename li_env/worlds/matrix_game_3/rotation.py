"""Rotary positions of the transformer and of its action modules (docs/spec/matrix_game_3.md, sections 3.5 and 3.7)."""

from __future__ import annotations

import torch

from li_env.kernels.rms_rotary import RotaryTables, rotary_tables
from li_env.worlds.matrix_game_3.config import MatrixGame3Config
from li_env.worlds.matrix_game_3.layout import TokenLayout

BASE = 10000.0


def head_bases(config: MatrixGame3Config) -> torch.Tensor:
    """Return the rotation base of every head, [heads] float64, spread around 10000 by ``sigma_theta``."""
    spread = torch.linspace(-1, 1, config.num_heads, dtype=torch.float64)
    return BASE * (1 + config.sigma_theta * spread)


def axis_pairs(config: MatrixGame3Config) -> tuple[int, int, int]:
    """Return the channel pairs per head that rotate with time, row and column."""
    pairs = config.head_dim // 2
    side = pairs // 3
    return pairs - 2 * side, side, side


def sequence_rotation(config: MatrixGame3Config, latents: torch.Tensor, layout: TokenLayout) -> RotaryTables:
    """Make the rotation of all tokens by absolute latent index, row and column.

    Args:
        config: of the model.
        latents: integers [B, T], absolute latent indices in the order of the sequence. Angles are made for these alone,
            so that no table ends and an episode may be of any length.
        layout: of the tokens.
    """
    rows, columns = layout.shape.grid
    device = layout.token_coords.device
    positions = [latents.to(device), torch.arange(rows, device=device), torch.arange(columns, device=device)]
    return rotary_tables(positions, axis_pairs(config), head_bases(config).to(device), layout.token_coords)


def slot_rotation(config: MatrixGame3Config, layout: TokenLayout) -> RotaryTables:
    """Make the rotation of the T slots in the action modules: both memory and clip count from 0."""
    action, shape = config.action_config, layout.shape
    device = layout.token_coords.device
    slots = torch.cat((torch.arange(shape.memory), torch.arange(shape.given + shape.new))).to(device)
    base = torch.tensor([action.rope_theta], dtype=torch.float64, device=device)
    row_index = torch.arange(shape.latents, device=device)[:, None]
    return rotary_tables([slots], [action.rope_dim_list[0] // 2], base, row_index)
