"""What the engine takes and gives: an episode between two steps, a planned chunk, a finished one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.history import History
from li_env.accel.plan import ChunkPlan
from li_env.accel.world import DecodeStream, Scene

Frames = Any
"""uint8 [T, H, W, 3], RGB: an array, or a tensor on the world's device where the engine was asked for that."""


STAGES = ("motion", "plan", "generate", "decode")
"""Keys of `ChunkResult.milliseconds`, in the order in which the stages run."""


@dataclass(frozen=True, eq=False)
class GenerationState:
    """Everything about one episode between two steps.

    Attributes:
        scene: what the world prepared at the start.
        history: latents, poses and motions so far.
        stream: state of the streaming decoder.
        seed: of the noise.
        pose: [4, 4] camera-to-world float64, of the last frame (of the start before chunk 0).
        chunk: index of the chunk to make next.
        degenerated: whether the world has produced a number that is not finite.
        config: the acceleration settings of this episode; ``None`` leaves them to the engine that steps it.
    """

    scene: Scene
    history: History
    stream: DecodeStream
    seed: int
    pose: np.ndarray
    chunk: int
    degenerated: bool
    config: AccelConfig | None = None


@dataclass(frozen=True, eq=False)
class PlannedChunk:
    """What is known of a chunk before a frame of it exists.

    Attributes:
        plan: the planner's decisions.
        poses: [n, 4, 4] float64, one per latent.
        motions: the motions that really happen (one per latent after the first of the episode).
        commanded: the motions asked for.
    """

    plan: ChunkPlan
    poses: np.ndarray
    motions: tuple[CameraMotion, ...]
    commanded: tuple[CameraMotion, ...]


@dataclass(frozen=True, eq=False)
class ChunkResult(PlannedChunk):
    """One finished chunk of one episode.

    Attributes:
        frames: uint8 [T, H, W, 3] RGB; an array, or a tensor if the engine keeps frames on the device.
        latents: [n, C, h, w], finite.
        degenerated: whether latents or motions had to be repaired because they were not finite.
        milliseconds: time by stage (`STAGES`): this episode's equal share of the time of its batch. On a GPU the time
            of ``generate`` and ``decode`` is the device's own, so that work of the host beside it does not count;
            planning is the host's, most of it beside the device in a large batch.
    """

    frames: Frames
    latents: torch.Tensor
    degenerated: bool
    milliseconds: dict[str, float]
