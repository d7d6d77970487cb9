"""A world for tests that remembers what its context shows: it repeats a frame of the same pose, else the newest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.accel.world import BaseWorld, ChunkRequest, MotionRequest
from li_env.evaluation.fidelity.reference_videos import ReferenceVideos
from li_env.evaluation.fidelity.walks import world_matrices
from li_env.worlds.freedoom.spec import SPEC

PHOTOGRAPHIC_SPEC = replace(SPEC, name="photographic", latent_shape=(768, 6, 8))
NOISE = 0.04
"""Noise of all values in [0, 1], divided by the number of steps: 40 dB in 4 steps, 52 dB in 16."""


@dataclass(frozen=True)
class PhotographicScene:
    start: torch.Tensor


class PhotographicWorld(BaseWorld[PhotographicScene, None]):
    """Latents are whole frames. Motions are halved (which replays must not do)."""

    def __init__(self, noise: float = NOISE) -> None:
        self.spec, self.device, self._noise = PHOTOGRAPHIC_SPEC, torch.device("cpu"), noise

    def start(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[PhotographicScene]:
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
        return [PhotographicScene(latent) for latent in pixel_unshuffle(pixels, 16)]

    def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
        return [tuple(replace(m, forward=m.forward / 2) for m in request.motions) for request in requests]

    def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
        return [self._chunk(request) for request in requests]

    def decode(self, latents, streams):
        pixels = [pixel_shuffle(chunk, 16).permute(0, 2, 3, 1) for chunk in latents]
        return [(p.clamp(0, 1) * 255).round().to(torch.uint8).numpy() for p in pixels], list(streams)

    def _chunk(self, request: ChunkRequest) -> torch.Tensor:
        frames = []
        for pose in request.poses:
            same = np.flatnonzero(np.abs(request.context_poses - pose).max((1, 2)) < 1e-6)
            fallback = request.context[-1] if len(request.context) else request.scene.start
            frames.append(request.context[same[-1]] if len(same) else fallback)
        return torch.stack(frames) + self._noise / request.plan.steps * request.noise


def picture(pose: np.ndarray) -> np.ndarray:
    """Draw a frame uint8 [96, 128, 3] that belongs to this pose [4, 4] alone."""
    seed = (np.round(pose[:3, [0, 2, 3]] * 1000) + 1_000_000).astype(int).ravel()
    return np.random.default_rng(seed).integers(60, 200, (12, 16, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)


def videos(motions: Sequence[CameraMotion], count: int = 2, first_look: np.ndarray | None = None) -> ReferenceVideos:
    """Make trajectories along ``motions`` from different starts; these are both commanded and realised."""
    starts = world_matrices(np.array([[320.0 * row, -64.0, 30.0 * row] for row in range(count)]))
    poses = np.stack([np.concatenate([start[None], follow(start, motions)]) for start in starts])
    table = np.array([[[m.yaw, m.right, m.forward] for m in motions]] * count, dtype=np.float32)
    return ReferenceVideos(
        frames=np.stack([[picture(pose) for pose in path] for path in poses]),
        poses=poses,
        first_look=np.full(len(motions) + 1, -1) if first_look is None else first_look,
        commanded=table,
        feasible=table.copy(),
        depths=None,
    )
