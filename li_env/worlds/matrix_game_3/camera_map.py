"""The camera map: camera position and ray direction of every pixel, as the transformer reads them.

Source: docs/spec/matrix_game_3.md, section 4.4.

Relative poses do not depend on the axes of the world, so the poses may be those of the engine or those of
`kinematics.camera_to_world`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from li_env.worlds.matrix_game_3.config import CAMERA_CHANNELS, LATENT_PIXELS

SAME_POSITION = 1e-5
"""Metres below which a memory view counts as taken from the position of its reference."""

SAME_VIEW = 1e-6
"""Step to which relative poses are rounded when compared: far below what the model's type resolves."""

_TOKEN_PIXELS = 2 * LATENT_PIXELS


def clip_poses(poses: np.ndarray, original: bool = False) -> np.ndarray:
    """Return poses of a clip's latents [F, 4, 4], each relative to the one before; the longest step becomes 1.

    The first is the identity. How fast the camera really moves is lost: so the model was trained.

    Args:
        poses: camera-to-world [F, 4, 4].
        original: compute in float32, and take every step above 0 for one. What rounding leaves of the steps of a camera
            that only turned then becomes a step of length 1, so the operations are those of the original, in its order.
    """
    if original:
        return _unit_steps(_original_relative(torch.from_numpy(np.asarray(poses, dtype=np.float32)), True)).numpy()
    poses = np.asarray(poses, dtype=np.float64)
    relative = np.tile(np.eye(4), (len(poses), 1, 1))
    relative[1:] = np.linalg.inv(poses[:-1]) @ poses[1:]
    longest = np.linalg.norm(relative[:, :3, 3], axis=-1).max()
    if longest > SAME_POSITION:
        relative[:, :3, 3] /= longest
    else:
        relative[:, :3, 3] = 0.0
    return relative


def memory_pose(memory: np.ndarray, reference: np.ndarray, original: bool = False) -> np.ndarray:
    """Return the pose [4, 4] of a memory view relative to its reference, at distance 1, or 0 at the same position.

    Args:
        memory, reference: camera-to-world [4, 4].
        original: round the memory pose to float32 and take every distance above 0 for one. If the camera stood still,
            what rounding leaves then becomes a step of length 1.
    """
    if original:
        memory = np.asarray(memory, dtype=np.float32)
        pair = torch.from_numpy(np.stack((reference, memory)).astype(np.float64))
        return _unit_steps(_original_relative(pair, False))[1].numpy()
    relative: np.ndarray = np.linalg.inv(np.asarray(reference, dtype=np.float64)) @ np.asarray(memory, np.float64)
    distance = float(np.linalg.norm(relative[:3, 3]))
    if distance > SAME_POSITION:
        relative[:3, 3] /= distance
    else:
        relative[:3, 3] = 0.0
    return relative


def _original_relative(poses: torch.Tensor, framewise: bool) -> torch.Tensor:
    """Return poses [n, 4, 4] relative to the first, or each to the one before through the first, in their own type."""
    relative = _inverse(poses[:1]) @ poses
    relative[0] = torch.eye(4, dtype=poses.dtype)
    if framewise:
        relative[1:] = torch.bmm(_inverse(relative[:-1]), relative[1:])
    return relative


def _inverse(poses: torch.Tensor) -> torch.Tensor:
    """Invert rigid poses [n, 4, 4] by transposing their rotations."""
    inverse = torch.eye(4, dtype=poses.dtype).repeat(len(poses), 1, 1)
    inverse[:, :3, :3] = poses[:, :3, :3].transpose(1, 2)
    inverse[:, :3, 3:] = -torch.bmm(inverse[:, :3, :3], poses[:, :3, 3:])
    return inverse


def _unit_steps(relative: torch.Tensor) -> torch.Tensor:
    """Scale the longest step to 1, however short it is."""
    longest = relative[:, :3, 3].norm(dim=-1).max()
    if longest > 0:
        relative[:, :3, 3] /= longest
    return relative


def distinct_views(relative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Remove repetitions from relative poses: while a key is held, most of a clip's poses are the same.

    Args:
        relative: [n, 4, 4].

    Returns:
        (the different ones [K, 4, 4] in order of appearance, the number of each pose's own [n]).
    """
    rounded = np.rint(relative.reshape(len(relative), -1) / SAME_VIEW).astype(np.int64)
    _, first, inverse = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return relative[first[order]], np.argsort(order)[inverse.reshape(-1)]


def camera_values(relative: np.ndarray | torch.Tensor, grid: tuple[int, int], device: torch.device) -> torch.Tensor:
    """Compute the camera map of tokens: [..., T, 4, 4] relative poses -> float32 [..., T, n, 6144].

    The values of a token are ordered by (component, row and column in a latent pixel, latent row and column in the
    token); components are the position (3) and the ray direction (3).
    """
    poses = torch.as_tensor(relative, device=device).float()
    rays = _rays(grid, device)
    directions = torch.einsum("...ij,njp->...nip", poses[..., :3, :3], rays)
    position = poses[..., None, :3, 3, None].expand_as(directions)
    return torch.cat((position, directions), dim=-2).flatten(-2)


@lru_cache(maxsize=4)
def _rays(grid: tuple[int, int], device: torch.device) -> torch.Tensor:
    """Compute unit ray directions float32 [n, 3, 1024] of the pixels of every token, for 90 degrees in both axes."""
    height, width = (_TOKEN_PIXELS * extent for extent in grid)
    y, x = (torch.arange(size, dtype=torch.float64) + 0.5 for size in (height, width))
    x, y = (x - width / 2) / (width / 2), (y - height / 2) / (height / 2)
    rays = torch.stack((x.expand(height, -1), y[:, None].expand(-1, width), torch.ones(height, width)), dim=-1)
    rays = rays / rays.norm(dim=-1, keepdim=True)
    # [row, latent row, pixel row, column, latent column, pixel column, 3] -> [n, 3, pixel row, pixel column, ...]
    rays = rays.view(grid[0], 2, LATENT_PIXELS, grid[1], 2, LATENT_PIXELS, 3).permute(0, 3, 6, 2, 5, 1, 4)
    return rays.reshape(grid[0] * grid[1], CAMERA_CHANNELS // 2, -1).float().to(device)
