"""State of an episode between two steps, and the record of its last step."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from li_env.accel.device import on_device, on_host, own_storage
from li_env.accel.geometry.camera import motion_table
from li_env.accel.grouping import equal_groups
from li_env.accel.plan import ChunkPlan
from li_env.accel.runtime.chunk import Frames, GenerationState, PlannedChunk
from li_env.accel.world_spec import WorldSpec
from li_env.tasks.task import ForeignTask, Task, TaskState


@dataclass(frozen=True, eq=False)
class StepRecord:
    """Record of a step that made a chunk, without frames, latents and times.

    Attributes:
        plan: the planner's decisions.
        latents: latents of the chunk, the start frame's included.
        latent_poses: [n, 4, 4] float64, see `latent_rows`.
        motion: [n, 4] float64: yaw and pitch in degrees, right and forward in length units.
        blocked: share of the commanded distance that walls refused, or of the commanded pitch that the poles refused:
            the larger of the two.
        actions: one action per new latent, as the agent gave them.
    """

    plan: ChunkPlan
    latents: int
    latent_poses: np.ndarray
    motion: np.ndarray
    blocked: float
    actions: tuple[Any, ...]

    @classmethod
    def of(cls, results: Sequence[PlannedChunk], rows: int, actions: Sequence[tuple[Any, ...]]) -> list[StepRecord]:
        """Condense chunks, each under its actions; arrays get exactly ``rows`` rows (the last, or padded in front)."""
        records: list[Any] = [None] * len(results)
        for members in equal_groups([(len(result.poses), len(result.motions)) for result in results]):
            own = [results[index] for index in members]
            poses = fixed_rows(np.stack([result.poses for result in own]), rows)
            motions = fixed_rows(motion_table([result.motions for result in own]), rows, np.zeros(4))
            for index, result, camera, motion in zip(members, own, poses, motions, strict=True):
                # Copies: a saved state must not keep the arrays of its whole batch alive.
                own_arrays = camera.copy(), motion.copy()
                records[index] = cls(result.plan, len(result.poses), *own_arrays, _blocked(result), actions[index])
        return records


def _blocked(result: PlannedChunk) -> float:
    """Return the share of the commanded distance or pitch that was refused, the larger of the two."""
    if result.motions is result.commanded:
        return 0.0
    both = result.commanded, result.motions
    distance = _refused(*([math.hypot(m.right, m.forward) for m in each] for each in both))
    if not any(motion.pitch for motion in result.commanded):
        return distance
    return max(distance, _refused(*([abs(m.pitch) for m in each] for each in both)))


def _refused(commanded: Sequence[float], realised: Sequence[float]) -> float:
    """Return the share of the commanded amounts that was not realised, from 0 to 1."""
    wanted = sum(commanded)
    return min(1.0, max(0.0, 1 - sum(realised) / wanted)) if wanted > 0 else 0.0


@dataclass(frozen=True, eq=False)
class EpisodeState:
    """Complete state of an episode between two steps: frames, latents, the task's state and the number of steps.

    Saving, forking and restoring are O(1): everything inside is immutable and shared. Keep it in memory; it is not made
    for files.

    Attributes:
        spec: the world it belongs to.
        device: where its latents are.
        task_kind: the task it belongs to, see `kind_of`.
        episode: the engine's state.
        task: the task's own state.
        frames: uint8 [T, H, W, 3]: the last frames of the episode's video; the start frame repeats in front until
            there are T frames. A read-only array, or a tensor on the world's device that nobody may write to.
        frame_poses: [T, 4, 4] float64: the cameras of ``frames``.
        new_frames: number of ``frames``, at the end, that the last step made: 1 after a reset, 0 after ``stop``.
        start_index: which of the world's start frames the episode began with, -1 for another image.
        last: record of the last step; ``None`` right after a reset or a ``stop``.
        steps: steps since the reset.
        milliseconds: time of the last step by stage.
    """

    spec: WorldSpec
    device: torch.device
    task_kind: str
    episode: GenerationState
    task: TaskState
    frames: Frames
    frame_poses: np.ndarray
    new_frames: int
    start_index: int
    last: StepRecord | None
    steps: int
    milliseconds: Mapping[str, float] = field(default_factory=dict)


def kind_of(task: Task) -> str:
    """Return name and class of a task: only tasks of one kind understand each other's states."""
    own = type(task.task if isinstance(task, ForeignTask) else task)
    return f"{task.name!r} ({own.__module__}.{own.__qualname__})"


def latent_rows(spec: WorldSpec) -> int:
    """Return the rows of ``latent_poses`` and ``motion``: the most new latents that any chunk brings."""
    return max(spec.new_latents(0), spec.new_latents(1))


def fixed_rows(arrays: np.ndarray, rows: int, padding: np.ndarray | None = None) -> np.ndarray:
    """Return the last ``rows`` of the n rows of each array [B, n, ...].

    Where n is less, all n with ``padding`` (the first row by default) repeated in front.
    """
    missing = rows - arrays.shape[1]
    if missing <= 0:
        return arrays[:, -missing:]
    padding = arrays[:, :1] if padding is None else padding
    front = np.broadcast_to(padding, (len(arrays), missing, *arrays.shape[2:]))
    return np.concatenate([front, arrays], axis=1)


def slide(window: Frames, new: Frames) -> Frames:
    """Append ``new`` [n, ...] to ``window`` [T, ...] and keep the last T rows, on the side (host, device) of ``new``.

    The result is no view of ``new``, which may be a part of the frames of many episodes. Arrays are locked, so that
    saved states can share them.
    """
    rows, count = len(window), len(new)
    if isinstance(new, np.ndarray):
        joined = new[count - rows :].copy() if count >= rows else np.concatenate([on_host(window)[count:], new])
        return read_only(joined)
    if count == rows and own_storage(new) is new:  # the usual case
        return new
    return _slide_tensors(window, new)


@torch.inference_mode(False)  # observations are ordinary tensors, even if the agent computes in inference mode
def _slide_tensors(window: Frames, new: torch.Tensor) -> torch.Tensor:
    rows, count = len(window), len(new)
    if count >= rows:
        return own_storage(new[count - rows :])
    return torch.cat((on_device(window[count:], new.device), new))


def read_only(frames: np.ndarray) -> np.ndarray:
    """Lock an array, so that saved states can share it; return the same array."""
    frames.setflags(write=False)
    return frames


def __getattr__(name: str) -> Any:
    """Return `EpisodeState` by its former name, with a warning; goes with the next release."""
    if name != "SavedState":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn("li_env.state.SavedState is now EpisodeState", DeprecationWarning, stacklevel=2)
    return EpisodeState
