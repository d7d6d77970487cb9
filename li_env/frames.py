"""Frames of an episode, each once and in order, with camera pose, action and time.

The start frame is the first frame of an episode, as the user saw it. A world makes it again in its first chunk; that
copy is left out. A latent stands for several frames: its pose is the camera of the last of these frames. The cameras of
the others lie between the previous latent's pose and this one, positions on a straight line and rotations on the
shortest arc.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from li_env.accel.device import on_host
from li_env.accel.runtime.chunk import ChunkResult, Frames, PlannedChunk
from li_env.accel.world_spec import WorldSpec
from li_env.state import EpisodeState


@dataclass(frozen=True, eq=False)
class FrameRecord:
    """One frame of an episode.

    Attributes:
        frame: uint8 [H, W, 3], RGB, not to be written to.
        pose: [4, 4] float64, camera-to-world.
        action: the agent's action that led to the frame: an action of its space, or a `CameraMotion` where the
            caller drove an engine directly. ``None`` for the start frame.
        time: seconds since the start frame.
    """

    frame: np.ndarray
    pose: np.ndarray
    action: Any
    time: float


def episode_frames(states: Iterable[EpisodeState]) -> Iterator[FrameRecord]:
    """Yield the frames of an episode from its states: after the reset and after every step, in order.

    A state holds the frames that its step made, so that no state may be left out. With only later states the frames
    begin later.
    """
    for state in states:
        yield from new_frames(state)


def new_frames(state: EpisodeState) -> list[FrameRecord]:
    """List the frames that one state adds: the start frame after a reset, none after ``stop``."""
    count = state.new_frames
    if count == 0:
        return []
    frames = on_host(state.frames[-count:])
    poses, times = state.frame_poses[-count:], frame_times(state.spec, state.episode.chunk, count)
    actions = [None] if state.last is None else each_frame(state.last.actions, state.spec.latent_frames)
    return [FrameRecord(*each) for each in zip(frames, poses, actions, times.tolist(), strict=True)]


def engine_frames(spec: WorldSpec, start: np.ndarray, results: Iterable[ChunkResult]) -> Iterator[FrameRecord]:
    """Yield the frames of an episode that an engine was driven through, chunk by chunk from the first one.

    Args:
        spec: of the world.
        start: the start frame, uint8 [H, W, 3].
        results: of `Engine.step`, from chunk 0 on.
    """
    before: np.ndarray | None = None
    for chunk, result in enumerate(results):
        if before is None:
            before = result.poses[0]
            yield FrameRecord(start, before, None, 0.0)
        frames, poses = on_host(fresh_frames(result)), frame_poses(spec, before, result)
        actions = each_frame(result.commanded, spec.latent_frames)
        times = frame_times(spec, chunk + 1, len(frames)).tolist()
        yield from (FrameRecord(*each) for each in zip(frames, poses, actions, times, strict=True))
        before = result.poses[-1]


def fresh_frames(result: ChunkResult) -> Frames:
    """Return the new frames [n, H, W, 3] of a chunk: without the start frame, which chunk 0 makes again."""
    return result.frames[1:] if result.plan.chunk == 0 else result.frames


def frame_poses(spec: WorldSpec, before: np.ndarray, chunk: PlannedChunk) -> np.ndarray:
    """Compute the cameras [n, 4, 4] of the new frames of a chunk.

    Args:
        spec: of the world.
        before: [4, 4], camera of the last frame before.
        chunk: the chunk.
    """
    latents = chunk.poses[1:] if chunk.plan.chunk == 0 else chunk.poses
    each = spec.latent_frames
    if each == 1 or not len(latents):
        return np.array(latents, dtype=np.float64)
    path = np.concatenate([before[None], latents])
    poses = np.repeat(np.asarray(latents, dtype=np.float64), each, axis=0)
    for index, (one, two) in enumerate(pairwise(path)):
        turn = cv2.Rodrigues(one[:3, :3].T @ two[:3, :3])[0]  # axis times angle
        for step in range(1, each):  # the last frame has the latent's own pose, exactly
            pose = poses[index * each + step - 1]
            pose[:3, :3] = one[:3, :3] @ cv2.Rodrigues(turn * (step / each))[0]
            pose[:3, 3] = one[:3, 3] + (two[:3, 3] - one[:3, 3]) * (step / each)
    return poses


def frame_times(spec: WorldSpec, chunks: int, count: int) -> np.ndarray:
    """Return the seconds [count] since the start frame of the last frames after ``chunks`` chunks; 0 for padding."""
    return _times(spec.frames_before(chunks), count, spec.fps).copy()


@lru_cache(maxsize=1024)
def _times(last: int, count: int, fps: float) -> np.ndarray:
    """Compute `frame_times`, cached because many episodes need the same times in every step."""
    return np.maximum(np.arange(last - count + 1, last + 1), 0) / fps


def intrinsics(focal: tuple[float, float], frame_size: tuple[int, int]) -> np.ndarray:
    """Return the camera matrix [3, 3] float64 in pixels; the principal point is the centre, (0, 0) a pixel's corner.

    Args:
        focal: (fx / width, fy / height).
        frame_size: (height, width) in pixels.
    """
    return _intrinsics(focal, frame_size).copy()


@lru_cache(maxsize=64)
def _intrinsics(focal: tuple[float, float], frame_size: tuple[int, int]) -> np.ndarray:
    height, width = frame_size
    return np.array([[focal[0] * width, 0.0, width / 2], [0.0, focal[1] * height, height / 2], [0.0, 0.0, 1.0]])


def each_frame(actions: Sequence[Any], latent_frames: int) -> list[Any]:
    """Repeat one action per new latent into one action per frame."""
    return [action for action in actions for _ in range(latent_frames)]
