"""The contract between the engine and an interactive video world model.

A world owns weights and tensor shapes. It keeps nothing about an episode: what lasts an episode is a `Scene`, what
lasts between two decodes is a `DecodeStream`; both are returned by the world and handed back by the engine, so that two
environments in one process never mix and a fork costs nothing.

Poses are camera-to-world 4x4 float64 matrices with OpenCV axes (x right, y down, z forward). Lengths are the world's
own unit (`WorldSpec.length_unit`), angles are degrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.plan import ChunkPlan
from li_env.accel.world_spec import WorldSpec

Scene = Any
"""Opaque, immutable: what a world needs for a whole episode (image latent, text cache)."""

DecodeStream = Any
"""Opaque, immutable: what a streaming decoder needs from earlier chunks; ``None`` before the first chunk."""


@dataclass(frozen=True)
class ChunkRequest:
    """Everything a world needs to generate one chunk of one episode.

    Attributes:
        scene: what `WorldModel.start` returned for this episode.
        plan: the planner's decisions.
        poses: [n, 4, 4] float64, poses of the n latents to make.
        motions: the feasible motions that led to them, one per latent after the first of the episode.
        context: [m, C, h, w], the latents named by ``plan.context``, in that order.
        context_poses: [m, 4, 4] float64.
        noise: [n, C, h, w], standard normal.
        context_motions: the motions that led to the context's latents, m of them (standing still for the episode's
            first latent).
        origin: [4, 4] float64, the pose of the episode's first latent.
    """

    scene: Scene
    plan: ChunkPlan
    poses: np.ndarray
    motions: tuple[CameraMotion, ...]
    context: torch.Tensor
    context_poses: np.ndarray
    noise: torch.Tensor
    context_motions: tuple[CameraMotion, ...] = ()
    origin: np.ndarray = field(default_factory=lambda: np.eye(4))


@dataclass(frozen=True)
class MotionRequest:
    """What a world may look at to say how far a commanded motion can really go.

    ``recent`` [m, C, h, w] are the latents of the current place (newest last, a few of them at most, possibly with
    retrieved ones in front), ``recent_poses`` their poses, ``pose`` the camera now.
    """

    scene: Scene
    pose: np.ndarray
    motions: tuple[CameraMotion, ...]
    recent: torch.Tensor
    recent_poses: np.ndarray


@runtime_checkable
class WorldModel(Protocol):
    """An interactive video world model. Batches are sequences with one entry per episode; plans may differ."""

    spec: WorldSpec
    device: torch.device

    def start(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[Scene]:
        """Prepare episodes from start frames (uint8 [H, W, 3], RGB, size ``spec.frame_size``) and prompts."""
        ...

    def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
        """The motions that really happen, one tuple per request (a world without obstacles returns them unchanged)."""
        ...

    def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
        """Denoise one chunk per request: latents [n, C, h, w] on ``device``."""
        ...

    def decode(
        self, latents: Sequence[torch.Tensor], streams: Sequence[DecodeStream]
    ) -> tuple[list[np.ndarray], list[DecodeStream]]:
        """Latents of the next chunk of each episode -> (uint8 frames [T, H, W, 3], the streams to pass next time)."""
        ...
