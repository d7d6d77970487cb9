"""Pixels of a real frame that show what an earlier real frame of the trajectory showed already.

A pixel's point in space is found with the renderer's depth and projected into earlier frames; it was visible in one
of them if it falls inside the picture at the depth that this frame has there.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import max_pool2d

from li_env.accel.geometry.camera import inverse
from li_env.evaluation.fidelity.settings import CHUNK
from li_env.worlds.freedoom.geometry import FOCAL

EARLIER_FRAMES = 32
"""Number of earlier frames, evenly spaced from the start frame to the last frame before the chunk."""

DEPTH_TOLERANCE_METRES, DEPTH_TOLERANCE_SHARE = 0.3, 0.05
"""Largest distance of a visible point from the depth range of the 3 x 3 pixels where it falls (the game's depth has
levels of 0.22 m)."""

_PIXELS_AT_ONCE = 2**25


def previously_visible(
    depths: np.ndarray, poses: np.ndarray, device: torch.device, earlier_frames: int = EARLIER_FRAMES
) -> torch.Tensor:
    """Mark pixels that an earlier frame showed: bool [N, L, H, W].

    Earlier means before the chunk of the frame; in chunk 0 it means the start frame, all of which counts.

    Args:
        depths: [N, L, H, W] metres along the viewing axis; L a multiple of the chunk.
        poses: [N, L, 4, 4] camera-to-world.
        device: where to compute.
        earlier_frames: number of earlier frames, see `EARLIER_FRAMES`; 1 is the start frame alone.
    """
    masks = torch.zeros(depths.shape, dtype=torch.bool, device=device)
    for row in range(len(depths)):
        trajectory = torch.from_numpy(depths[row].astype(np.float32)).to(device)
        near = -max_pool2d(-trajectory[:, None], 3, 1, 1)[:, 0]
        far = max_pool2d(trajectory[:, None], 3, 1, 1)[:, 0]
        for begin in range(0, depths.shape[1], CHUNK):
            current = np.arange(begin, begin + CHUNK)
            earlier = np.unique(np.linspace(0, max(begin - 1, 0), earlier_frames).round().astype(int))
            relative = inverse(poses[row, earlier])[None] @ poses[row, current][:, None]
            size = max(1, _PIXELS_AT_ONCE // (CHUNK * trajectory[0].numel()))
            found = masks[row, begin : begin + CHUNK]
            for part in range(0, len(earlier), size):
                rows = slice(part, part + size)
                transforms = torch.from_numpy(relative[:, rows].astype(np.float32)).to(device)
                index = torch.from_numpy(earlier[rows]).to(device)
                found |= _visible(trajectory[current], transforms, near[index], far[index]).any(1)
        masks[row, 0] = True
    return masks


def _visible(depth: torch.Tensor, transforms: torch.Tensor, near: torch.Tensor, far: torch.Tensor) -> torch.Tensor:
    """Mark pixels at ``depth`` [T, H, W] whose points cameras E with depth ranges [E, H, W] see: bool [T, E, H, W].

    ``transforms`` [T, E, 4, 4] lead from the cameras of the pixels to the earlier ones.
    """
    height, width = depth.shape[-2:]
    across = ((torch.arange(width, device=depth.device) + 0.5) / width - 0.5) / FOCAL[0]
    down = ((torch.arange(height, device=depth.device) + 0.5) / height - 0.5) / FOCAL[1]
    points = torch.stack((across * depth, down[:, None] * depth, depth), dim=-1)  # [T, H, W, 3]
    rotation, shift = transforms[..., :3, :3], transforms[..., :3, 3]
    turned = (torch.einsum("thwc,tec->tehw", points, rotation[..., axis, :]) for axis in range(3))
    x, y, z = (part + shift[..., axis, None, None] for axis, part in enumerate(turned))
    ahead = z > 0.05
    safe = torch.where(ahead, z, torch.ones_like(z))
    column = torch.floor((x / safe * FOCAL[0] + 0.5) * width).long()
    row = torch.floor((y / safe * FOCAL[1] + 0.5) * height).long()
    inside = ahead & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    flat = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).flatten(-2)
    tolerance = DEPTH_TOLERANCE_METRES + DEPTH_TOLERANCE_SHARE * z

    def landing(depths: torch.Tensor) -> torch.Tensor:
        return depths.flatten(1)[None].expand(len(z), -1, -1).gather(-1, flat).view(z.shape)

    return inside & (z >= landing(near) - tolerance) & (z <= landing(far) + tolerance)
