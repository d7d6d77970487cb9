"""Values that the engine takes and returns: state of an episode, planned chunk, finished chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.history import History
from li_env.accel.kept_work import KeptWork
from li_env.accel.plan import ChunkPlan
from li_env.accel.view_bank import ViewBank
from li_env.accel.world import DecodeStream, Scene

Frames = Any
"""Frames uint8 [T, H, W, 3], RGB: an array, or a tensor on the world's device with ``device_frames``."""

STAGES = ("motion", "plan", "generate", "decode")
"""Keys of `ChunkResult.milliseconds`, in the order in which the stages run."""


@dataclass(frozen=True, eq=False)
class GenerationState:
    """State of one episode between two steps.

    Attributes:
        scene: result of `BaseWorld.start`.
        history: latents, poses and motions so far.
        stream: state of the streaming decoder.
        seed: seed of the noise.
        pose: [4, 4] camera-to-world float64, of the last frame (of the start before chunk 0).
        chunk: index of the chunk to make next.
        degenerated: whether the world has produced a number that is not finite.
        config: the acceleration settings of this episode; ``None`` leaves them to the engine that steps it.
        bank: views of the scan in which the episode takes place, shared with other episodes; ``None`` without a scan.
        kept: work of the last chunk that the next one may reuse; ``None`` where nothing is shared.
    """

    scene: Scene
    history: History
    stream: DecodeStream
    seed: int
    pose: np.ndarray
    chunk: int
    degenerated: bool
    config: AccelConfig | None = None
    bank: ViewBank | None = None
    kept: KeptWork | None = None


@dataclass(frozen=True, eq=False)
class PlannedChunk:
    """Chunk whose plan, poses and motions are known before its frames exist.

    Attributes:
        plan: the planner's decisions.
        poses: [n, 4, 4] float64, one per latent.
        motions: realised motions (one per latent after the first of the episode).
        commanded: commanded motions, as many.
    """

    plan: ChunkPlan
    poses: np.ndarray
    motions: tuple[CameraMotion, ...]
    commanded: tuple[CameraMotion, ...]


@dataclass(frozen=True, eq=False)
class ChunkResult(PlannedChunk):
    """Finished chunk of one episode.

    Attributes:
        frames: uint8 [T, H, W, 3] RGB; an array, or a tensor if the engine keeps frames on the device.
        latents: [n, C, h, w], finite.
        degenerated: whether latents or motions had to be repaired because they were not finite.
        milliseconds: time by stage (`STAGES`), an equal share of the time of the batch. On a GPU, ``generate`` and
            ``decode`` count the time of the device, so that simultaneous work of the host does not count. ``plan``
            counts the time of the host, which in a large batch mostly runs beside the device.
    """

    frames: Frames
    latents: torch.Tensor
    degenerated: bool
    milliseconds: dict[str, float]
