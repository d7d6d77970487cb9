"""Planar camera geometry of the freedoom world as the transformer sees it.

A pose is (x right, z forward, yaw) in metres and radians, relative to the chunk's reference camera (the newest finished
latent), so that nothing depends on where in a map the episode started.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch

from li_env.worlds.common.transformer import CameraTables

FOCAL = (0.5, 0.8)
"""fx / width and fy / height of ViZDoom's 90 degree view on a 4:3 frame (its pixels are 1.2 times as tall as wide)."""

ROWS_OF_PICTURE = 6.0
"""Positions from top to bottom of a picture, however many rows of tokens it has: one per row of the small size."""

METRES_PER_UNIT = 8.0
"""Camera matrices use this length as 1, so that a trajectory spans a few units."""

_SLOT = tuple(256.0 ** (-j / 3) for j in range(3))
_ROW = tuple(256.0 ** (-j / 4) for j in range(4))
_YAW = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 16.0, 22.0)
_PLACE = tuple(2 * math.pi / (1.5 * 1.7**j) for j in range(8))
_LENS = (*FOCAL, 1.0, 1.0)

_FEATURE_YAW = (1.0, 2.0, 4.0, 8.0)
_FEATURE_PLACE = tuple(2 * math.pi / wavelength for wavelength in (3.0, 12.0, 48.0))
FEATURES = 2 * len(_FEATURE_YAW) + 4 * len(_FEATURE_PLACE) + 3


@lru_cache(maxsize=64)
def _table(values: tuple[float, ...], device: torch.device) -> torch.Tensor:
    """Return constants on a device, copied there once.

    A copy from the host would make a GPU wait and cannot be captured in a graph.
    """
    with torch.inference_mode(False):  # training uses them too
        return torch.tensor(values, dtype=torch.float32, device=device)


def planar_poses(poses: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Convert level cameras [..., 4, 4] (metres) to (x, z, yaw) [..., 3] seen from ``reference`` [4, 4]."""
    relative = np.linalg.inv(reference) @ poses
    yaw = np.arctan2(relative[..., 0, 2], relative[..., 2, 2])
    return np.stack((relative[..., 0, 3], relative[..., 2, 3], yaw), axis=-1)


def relative_planar(planar: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Transform planar poses [..., 3] in map axes to the view of planar ``reference`` [..., 3] (broadcast)."""
    dx, dz = planar[..., 0] - reference[..., 0], planar[..., 1] - reference[..., 1]
    cos, sin = reference[..., 2].cos(), reference[..., 2].sin()
    yaw = planar[..., 2] - reference[..., 2]
    return torch.stack((cos * dx - sin * dz, sin * dx + cos * dz, torch.atan2(yaw.sin(), yaw.cos())), dim=-1)


def _rays(planar: torch.Tensor, grid: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the yaw of every token's ray [B, T, n] and its slope (tangent of elevation) [n]."""
    columns = (torch.arange(grid[1], device=planar.device) + 0.5) / grid[1] - 0.5
    rows = (torch.arange(grid[0], device=planar.device) + 0.5) / grid[0] - 0.5
    yaw = planar[..., 2, None, None] + torch.atan(columns / FOCAL[0])
    yaw = yaw.expand(*planar.shape[:2], *grid).flatten(2)
    slope = (rows / FOCAL[1])[:, None].expand(grid).flatten()
    return yaw, slope


def token_features(planar: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Compute additive camera features per token: [B, T, 3] -> [B, T, n, FEATURES] float32.

    ``grid`` has the (rows, columns) of the n tokens.
    """
    yaw, slope = _rays(planar, grid)
    frequencies = _table(_FEATURE_YAW, planar.device)
    angles = yaw[..., None] * frequencies
    place = (planar[..., :2, None] * _table(_FEATURE_PLACE, planar.device)).flatten(-2)
    frame = torch.cat((place.sin(), place.cos(), planar[..., :2] / 16), dim=-1)
    frame = frame[:, :, None].expand(*yaw.shape, frame.shape[-1])
    return torch.cat((angles.sin(), angles.cos(), frame, slope.expand(yaw.shape)[..., None]), dim=-1)


def camera_tables(planar: torch.Tensor, slots: torch.Tensor, grid: tuple[int, int]) -> CameraTables:
    """Compute rotation angles and camera matrices.

    Args:
        planar: [B, T, 3], relative to the reference camera.
        slots: [T], time slot of every latent; the chunk's own latents are 0, 1, ..., context is negative.
        grid: (rows, columns) of tokens.
    """
    batch, frames = planar.shape[:2]
    rows, columns = grid
    tokens = rows * columns
    yaw, _ = _rays(planar, grid)
    # Exactly 0, 1, ... in the small size.
    row = (torch.arange(rows, device=planar.device) + 0.5) * ROWS_OF_PICTURE / rows - 0.5
    row = row.repeat_interleave(columns)
    parts = (
        (slots.float()[None, :, None].expand(batch, frames, tokens), _SLOT),
        (row.expand(batch, frames, tokens), _ROW),
        (yaw, _YAW),
        (planar[..., 0, None].expand(batch, frames, tokens), _PLACE),
        (planar[..., 1, None].expand(batch, frames, tokens), _PLACE),
    )
    angles = torch.cat([position[..., None] * _table(table, planar.device) for position, table in parts], dim=-1)
    angles = angles.flatten(1, 2)[:, None]
    cos, sin = planar[..., 2].cos(), planar[..., 2].sin()
    x, z = planar[..., 0] / METRES_PER_UNIT, planar[..., 1] / METRES_PER_UNIT
    zero, one = torch.zeros_like(x), torch.ones_like(x)

    def stack(*entries: torch.Tensor) -> torch.Tensor:
        return torch.stack(entries, dim=-1).unflatten(-1, (4, 4))

    camera_to_world = stack(cos, zero, sin, x, zero, one, zero, zero, -sin, zero, cos, z, zero, zero, zero, one)
    world_to_camera = stack(
        cos, zero, -sin, -cos * x + sin * z, zero, one, zero, zero,
        sin, zero, cos, -sin * x - cos * z, zero, zero, zero, one,
    )  # fmt: skip
    lens = _table(_LENS, planar.device)
    projection = lens[:, None] * world_to_camera
    return CameraTables(
        cos=angles.cos(),
        sin=angles.sin(),
        query_matrices=projection.transpose(-1, -2),
        key_matrices=camera_to_world / lens,
        output_matrices=projection,
    )
