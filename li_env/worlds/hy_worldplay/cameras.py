"""Positions of cameras and tokens for the transformer: rotation by slot, row and column, and camera matrices.

Source: docs/spec/hy_worldplay.md, sections 3.6 and 3.7.
"""

from __future__ import annotations

import numpy as np
import torch

from li_env.accel.geometry.camera import inverse
from li_env.worlds.common.transformer import CameraTables
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig

FOCAL = (969.6969696969696 / 1920.0, 969.6969696969696 / 1080.0)
"""fx / width and fy / height of the cameras that the model was trained with."""


def world_to_camera(poses: np.ndarray, origin: np.ndarray) -> torch.Tensor:
    """Convert camera-to-world ``poses`` [T, 4, 4] to world-to-camera float32 [T, 4, 4] as seen from ``origin`` [4, 4].

    The origin is the pose of the episode's first latent, as in training. It matters: text tokens have no camera, so
    that what a query of the camera branch sees of them depends on its own pose, not on differences of poses alone.
    """
    return torch.from_numpy((inverse(poses) @ origin).astype(np.float32))


def camera_tables(
    config: HYWorldPlayConfig,
    matrices: torch.Tensor,
    focal: torch.Tensor,
    grid: tuple[int, int],
    first_slot: int,
    coarse: bool = False,
) -> CameraTables:
    """Make the tables of T latents of one episode.

    Args:
        config: of the model.
        matrices: [T, 4, 4] float32, world-to-camera.
        focal: [2] or [T, 2], fx / width and fy / height.
        grid: (rows, columns) of tokens per latent.
        first_slot: time slot of the first latent. Slots are consecutive, even if latents are left out: context latents
            have 0, 1, ..., the current ones the next.
        coarse: make the camera matrices in bfloat16, as the original does, instead of float32.
    """
    cos, sin = rotation(config, grid, first_slot, len(matrices), matrices.device)
    dtype = torch.bfloat16 if coarse else torch.float32
    matrices, lens = matrices.to(dtype), torch.ones(len(matrices), 4, device=matrices.device)
    lens[:, :2] = focal
    lens = lens.to(dtype)
    turned = matrices[:, :3, :3].transpose(-1, -2)
    back = torch.zeros_like(matrices)
    back[:, :3, :3] = turned
    back[:, :3, 3:] = -(turned @ matrices[:, :3, 3:])
    back[:, 3, 3] = 1.0
    projection = (lens[:, :, None] * matrices).float()[None]
    return CameraTables(
        cos=cos[None, None],
        sin=sin[None, None],
        query_matrices=projection.transpose(-1, -2),
        key_matrices=(back / lens[:, None, :]).float()[None],
        output_matrices=projection,
    )


def rotation(
    config: HYWorldPlayConfig, grid: tuple[int, int], first_slot: int, frames: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute (cos, sin) of every token's angles.

    Each is [frames * rows * columns, D / 2] float32 in order (frame, row, column).
    """
    slots = torch.arange(first_slot, first_slot + frames, device=device)
    positions = torch.meshgrid(slots, *(torch.arange(size, device=device) for size in grid), indexing="ij")
    angles = []
    for position, size in zip(positions, config.rope_dims, strict=True):
        exponents = torch.arange(0, size, 2, device=device, dtype=torch.float32) / size
        angles.append(position.flatten()[:, None] * config.rope_theta**-exponents)
    angle = torch.cat(angles, dim=-1)
    return angle.cos(), angle.sin()
