"""What one moment of an episode consists of, and the checks on what a user hands in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from li_env.accel.camera import motion_table
from li_env.accel.engine import ChunkPath, EpisodeState, Frames
from li_env.accel.transfer import compact
from li_env.accel.world import WorldSpec
from li_env.tasks.task import TaskState


@dataclass(frozen=True, eq=False)
class StepRecord:
    """What `info` tells about one step, without frames, latents and times."""

    plan: Mapping[str, Any]
    latent_poses: np.ndarray
    motion: np.ndarray
    blocked: float

    @classmethod
    def of(cls, result: ChunkPath, latents: int) -> StepRecord:
        """Condense a chunk; arrays get exactly ``latents`` rows (the last ones, or padded in front)."""
        commanded = sum(math.hypot(m.right, m.forward) for m in result.commanded)
        done = sum(math.hypot(m.right, m.forward) for m in result.motions)
        return cls(
            plan=result.plan.to_dict(),
            latent_poses=fixed_rows(result.poses, latents, result.poses[0]),
            motion=fixed_rows(motion_table([result.motions])[0], latents, np.zeros(4)),
            blocked=min(1.0, max(0.0, 1 - done / commanded)) if commanded > 0 else 0.0,
        )


@dataclass(frozen=True, eq=False)
class SavedState:
    """A moment of an episode, complete but for the wrappers around the environment (`TimeLimit` counts on).

    Saving, forking and restoring are O(1): everything inside is immutable and shared. Keep it in memory; it is not made
    for files.

    Attributes:
        spec: the world it belongs to.
        episode: the engine's state.
        task: what the task knows about this moment.
        frames: uint8 [T, H, W, 3]: the frames of the last step that made some. An array, read-only, or a tensor on the
            world's device that nobody may write to.
        start_index: which of the world's start frames the episode began with, -1 for another image.
        last: what the last step made; ``None`` right after a reset or a ``stop``.
        milliseconds: what it took by stage.
    """

    spec: WorldSpec
    episode: EpisodeState
    task: TaskState
    frames: Frames
    start_index: int
    last: StepRecord | None
    milliseconds: Mapping[str, float] = field(default_factory=dict)


def fixed_rows(array: np.ndarray, rows: int, padding: np.ndarray) -> np.ndarray:
    """The last ``rows`` rows, or all of them with ``padding`` repeated in front; always a new array."""
    missing = rows - len(array)
    if missing <= 0:
        return array[-missing:].copy()
    front = np.broadcast_to(padding, (missing, *np.shape(padding)))
    return np.concatenate([front, array]).astype(array.dtype)


def fixed_frames(frames: Frames, count: int, padding: Frames) -> Frames:
    """`fixed_rows` for frames on either side; arrays are locked, so that saved states can share them."""
    if isinstance(frames, np.ndarray):
        rows = fixed_rows(frames, count, np.asarray(padding))
        rows.setflags(write=False)
        return rows
    missing = count - len(frames)
    if missing <= 0:
        return compact(frames[-missing:])  # a view would keep the frames of all worlds
    front = torch.as_tensor(padding, device=frames.device).expand(missing, *frames.shape[1:])
    return torch.cat((front, frames))


def check_pose(pose: Any) -> np.ndarray:
    """A copy of a camera-to-world matrix as float64 [4, 4].

    Raises:
        ValueError: not 4x4, not finite, not a rotation and a position below 1e6, or another last row than 0 0 0 1.
    """
    allowed = "allowed: a finite 4x4 matrix [rotation | position], last row 0 0 0 1, position below 1e6"
    try:
        matrix = np.array(pose, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"pose={type(pose).__name__} is not usable; {allowed}") from None
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise ValueError(f"pose of shape {list(matrix.shape)} or with NaN is not usable; {allowed}")
    rotation = matrix[:3, :3]
    rigid = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6) and np.linalg.det(rotation) > 0
    if not rigid or not np.allclose(matrix[3], [0, 0, 0, 1]) or np.abs(matrix[:3, 3]).max() >= 1e6:
        raise ValueError(f"pose={matrix.round(4).tolist()} is not usable; {allowed}")
    return matrix


def read_only(frames: np.ndarray) -> np.ndarray:
    """The same array, locked, so that it can be shared between saved states."""
    frames.setflags(write=False)
    return frames
