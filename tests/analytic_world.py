"""A world with known answers for tests: an empty room with coloured walls, seen by casting one ray per latent cell.

Latents are the picture at latent resolution (channels 0-2, in [0, 1]) and a channel that depends on the context that
was handed over and on the noise (3), so that a wrong context, noise or order changes the frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from li_env.accel.geometry.camera import CameraMotion, MotionLimits, move, relative_motion
from li_env.accel.world import BaseWorld, ChunkRequest, MotionRequest, StartViews
from li_env.accel.world_spec import WorldSpec

ROOM_HALF_SIZE = 4.0  # metres from the centre to a wall
BODY_RADIUS = 0.5
SPEC = WorldSpec(
    name="analytic",
    chunk_latents=4,
    first_chunk_latents=4,
    latent_frames=1,
    frame_size=(96, 128),
    latent_shape=(4, 6, 8),
    token_grid=(6, 8),
    fps=8.75,
    focal=(0.5, 0.8),
    view_distance=8.0,
    sigmas=(1.0, 0.9375, 0.8333, 0.625, 0.0),
    context_latents=20,
    temporal_latents=12,
    memory_group=4,
    tile_shape=(4, 6, 4),
    motion=MotionLimits(translation=0.75, rotation=15.0, pitch=False),
    length_unit="metre",
)


@dataclass(frozen=True)
class RoomScene:
    start: torch.Tensor | None
    """[3, 6, 8]: the start frame at latent resolution; None without a picture."""


class AnalyticWorld(BaseWorld[RoomScene, int]):
    """Faces of the room are coloured by the world axes of the point that a ray hits."""

    needs_start_frame = False

    def __init__(self, device: str = "cpu", spec: WorldSpec = SPEC) -> None:
        self.device, self.spec = torch.device(device), spec
        starts = (np.eye(4), move(np.eye(4), CameraMotion(yaw=90.0)))
        self.start_views = StartViews(np.stack([self._frame(self._picture(pose)) for pose in starts]))

    def start(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[RoomScene]:
        return [RoomScene(self._cells(image)) for image in images]

    def start_from_views(self, prompts: Sequence[str]) -> list[RoomScene]:
        return [RoomScene(None) for _ in prompts]

    def encode(self, frames: np.ndarray) -> torch.Tensor:
        """Encode frames: the picture, and its mean brightness, so that another view in the context shows."""
        pictures = torch.stack([self._cells(frame) for frame in frames])
        return torch.cat((pictures, pictures.mean((1, 2, 3), keepdim=True).expand(-1, 1, *pictures.shape[2:])), dim=1)

    def render(self, pose: np.ndarray) -> np.ndarray:
        """Return the frame that a camera at ``pose`` sees, uint8 [H, W, 3]."""
        return self._frame(self._picture(pose))

    def _cells(self, image: np.ndarray) -> torch.Tensor:
        height, width = self.spec.frame_size
        rows, columns = self.spec.token_grid
        cells = (rows, height // rows, columns, width // columns, 3)
        return torch.from_numpy((image.reshape(cells).mean((1, 3)) / 255).transpose(2, 0, 1)).float().to(self.device)

    def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
        return [self._stop_at_walls(request) for request in requests]

    def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
        return [self._chunk(request) for request in requests]

    def decode(
        self, latents: Sequence[torch.Tensor], streams: Sequence[int | None]
    ) -> tuple[list[np.ndarray], list[int | None]]:
        frames = [np.stack([self._frame(latent) for latent in chunk]) for chunk in latents]
        return frames, [1 if stream is None else stream + 1 for stream in streams]

    def _stop_at_walls(self, request: MotionRequest) -> tuple[CameraMotion, ...]:
        pose, realised = request.pose, []
        for motion in request.motions:
            wanted = move(pose, motion)
            limit = ROOM_HALF_SIZE - BODY_RADIUS
            reached = wanted.copy()
            reached[[0, 2], 3] = np.clip(wanted[[0, 2], 3], -limit, limit)
            realised.append(motion if (reached == wanted).all() else relative_motion(pose, reached))
            pose = reached
        return tuple(realised)

    def _chunk(self, request: ChunkRequest) -> torch.Tensor:
        assert len(request.context) == len(request.context_poses) == request.plan.context_latents
        assert len(request.context_motions) == len(request.context)
        latents = torch.stack([self._picture(pose) for pose in request.poses])
        if not request.plan.context and request.scene.start is not None:
            latents[0, :3] = request.scene.start.to(self.device)
        if len(request.context):
            ages = torch.linspace(0, 0.5, len(request.context), device=self.device)
            latents[:, 3] += (request.context[:, 3].mean((1, 2)) * ages).sum()
            latents[:, 3] += float(np.sin(request.context_poses[:, 0, 3]).sum())
        latents[:, 3] += 0.1 * request.noise[:, 3]
        latents[:, :3] = (latents[:, :3] + 0.02 * torch.tanh(request.noise[:, :3])).clamp(0, 1)
        return latents

    def _picture(self, pose: np.ndarray) -> torch.Tensor:
        """Render the latent [4, 6, 8] seen from ``pose``: nearest face of the box along each ray."""
        (rows, columns), (fx, fy) = self.spec.token_grid, self.spec.focal
        x = ((np.arange(columns) + 0.5) / columns - 0.5) / fx
        y = ((np.arange(rows) + 0.5) / rows - 0.5) / fy
        rays = np.stack(np.broadcast_arrays(x[None, :], y[:, None], 1.0), axis=-1) @ pose[:3, :3].T
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(rays == 0, np.inf, (np.sign(rays) * ROOM_HALF_SIZE - pose[:3, 3]) / rays)
        hit = pose[:3, 3] + reach.min(-1, keepdims=True) * rays
        colour = 0.5 + 0.4 * np.sin(np.array([0.9, 1.1, 1.3]) * hit + np.array([0.0, 1.0, 2.0]))
        latent = np.concatenate([colour, np.zeros((rows, columns, 1))], axis=-1).transpose(2, 0, 1)
        return torch.from_numpy(latent).float().to(self.device)

    def _frame(self, latent: torch.Tensor) -> np.ndarray:
        (height, width), (rows, columns) = self.spec.frame_size, self.spec.token_grid
        picture = latent[:3] + 0.05 * torch.tanh(latent[3:4])
        pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        return pixels.repeat(height // rows, axis=0).repeat(width // columns, axis=1)
