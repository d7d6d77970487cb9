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
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch

from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.plan import ChunkPlan

Scene = Any
"""Opaque, immutable: what a world needs for a whole episode (image latent, text cache)."""

DecodeStream = Any
"""Opaque, immutable: what a streaming decoder needs from earlier chunks; ``None`` before the first chunk."""


@dataclass(frozen=True)
class MotionLimits:
    """Motion of one latent when a key is held or a continuous action is at 1."""

    translation: float
    rotation: float
    pitch: bool


@dataclass(frozen=True)
class WorldSpec:
    """Shapes and constants of a world model.

    Attributes:
        name: registry name.
        chunk_latents: latents made per chunk (every chunk but, for some models, the first).
        first_chunk_latents: latents of chunk 0, the start frame's latent included.
        latent_frames: video frames per latent (latent 0 always decodes to one frame).
        frame_size: (height, width) of a frame in pixels.
        latent_shape: (channels, height, width) of one latent.
        token_grid: (rows, columns) of tokens per latent.
        fps: frames per second of the video.
        focal: (fx / width, fy / height), principal point in the centre.
        view_distance: how far a frame shows its surroundings, in length units; for view overlap.
        sigmas: full denoising schedule, decreasing, ending in 0.
        context_latents: most context latents in all.
        temporal_latents: most of them taken from the recent past.
        memory_group: latents per retrieved group (groups are aligned to multiples of it).
        tile_shape: (latents, rows, columns) of one attention tile.
        motion: motion per latent.
        length_unit: what a length of 1 means.
        supports_block_sparse: whether `WorldModel.generate` carries out block-sparse attention plans.
        sparse_min_context: context latents from which block-sparse attention is faster than dense, as measured on the
            device that the world runs on.
        memory_rule: how the model was made to retrieve memory: ``groups`` of latents that look like the coming views
            (`memory.NearestView`), or ``slots``, each for one coming view (`slots.ViewSlots`).
        view_threshold: view similarity from which the paper counts a chunk as a revisit; for settings that leave it to
            the world.
        fewest_memory_groups: groups that policy ``coverage`` always retrieves, the nearest views if none adds enough.
            Small models lose the thread of what they invented with the recent window alone.
    """

    name: str
    chunk_latents: int
    first_chunk_latents: int
    latent_frames: int
    frame_size: tuple[int, int]
    latent_shape: tuple[int, int, int]
    token_grid: tuple[int, int]
    fps: float
    focal: tuple[float, float]
    view_distance: float
    sigmas: tuple[float, ...]
    context_latents: int
    temporal_latents: int
    memory_group: int
    tile_shape: tuple[int, int, int]
    motion: MotionLimits
    length_unit: str
    supports_block_sparse: bool = False
    sparse_min_context: int = 8
    memory_rule: Literal["groups", "slots"] = "groups"
    view_threshold: float = 0.7
    fewest_memory_groups: int = 0

    @property
    def chunk_frames(self) -> int:
        """Most new frames that any chunk brings: the T of the chunk observation."""
        return max(self.new_frames(0), self.step_frames)

    @property
    def step_frames(self) -> int:
        """New frames of every chunk after the first."""
        return self.new_frames(1)

    def new_frames(self, chunk: int) -> int:
        """Frames that chunk ``chunk`` adds to the video; the start frame, which chunk 0 makes again, is not new."""
        return self.new_latents(chunk) * self.latent_frames

    def new_latents(self, chunk: int) -> int:
        """Latents that chunk ``chunk`` holds beside the start frame's: one motion leads to each."""
        return self.latents_in_chunk(chunk) - (1 if chunk == 0 else 0)

    def frames_before(self, chunk: int) -> int:
        """Frames of the video before chunk ``chunk``, the start frame not counted."""
        return 0 if chunk == 0 else self.new_frames(0) + (chunk - 1) * self.step_frames

    def latents_in_chunk(self, chunk: int) -> int:
        """Number of latents that chunk ``chunk`` holds."""
        return self.first_chunk_latents if chunk == 0 else self.chunk_latents

    @property
    def fov(self) -> tuple[float, float]:
        """(horizontal, vertical) field of view in degrees."""
        fx, fy = self.focal
        return 2 * float(np.degrees(np.arctan(0.5 / fx))), 2 * float(np.degrees(np.arctan(0.5 / fy)))


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
