"""Every frame of an episode once and in order, with where the camera was, what was done and when.

The start frame is the first frame of an episode, as the user saw it. A world makes it again in its first chunk; that
copy is left out. Latent j of an episode stands for the frames up to its own: its pose is the camera of the last of
them, and the cameras of the others lie on the way from the latent before, the position on a straight line and the
rotation on the shortest arc.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch

from li_env.accel.runtime.chunk import ChunkResult, Frames, PlannedChunk
from li_env.accel.world_spec import WorldSpec

if TYPE_CHECKING:  # state.py imports this module
    from li_env.state import EpisodeState


@dataclass(frozen=True, eq=False)
class FrameRecord:
    """One frame of an episode.

    Attributes:
        frame: uint8 [H, W, 3], RGB, not to be written to.
        pose: [4, 4] float64, camera-to-world.
        action: what the agent did to get there: an action of its space, or a `CameraMotion` where an engine was driven
            directly. ``None`` for the start frame.
        time: seconds since the start frame.
    """

    frame: np.ndarray
    pose: np.ndarray
    action: Any
    time: float


def episode_frames(moments: Iterable[EpisodeState]) -> Iterator[FrameRecord]:
    """Yield the frames of an episode from its moments: after the reset and after every step, in order.

    A moment holds the frames that its step made, so that none may be left out; with only later moments the frames
    begin there.
    """
    for moment in moments:
        yield from new_frames(moment)


def new_frames(moment: EpisodeState) -> list[FrameRecord]:
    """List the frames that one moment adds: the start frame after a reset, none after ``stop``."""
    count = moment.new_frames
    if count == 0:
        return []
    frames = on_host(moment.frames[-count:])
    poses, times = moment.frame_poses[-count:], frame_times(moment.spec, moment.episode.chunk, count)
    actions = [None] if moment.last is None else each_frame(moment.last.actions, moment.spec.latent_frames)
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
    """The frames [n, H, W, 3] of a chunk that nobody has seen: without the start frame, which chunk 0 makes again."""
    return result.frames[1:] if result.plan.chunk == 0 else result.frames


def frame_poses(spec: WorldSpec, before: np.ndarray, path: PlannedChunk) -> np.ndarray:
    """Cameras [n, 4, 4] of the new frames of a chunk.

    Args:
        spec: of the world.
        before: [4, 4], camera of the last frame before.
        path: the chunk.
    """
    latents = path.poses[1:] if path.plan.chunk == 0 else path.poses
    each = spec.latent_frames
    if each == 1 or not len(latents):
        return np.array(latents, dtype=np.float64)
    ways = np.concatenate([before[None], latents])
    poses = np.repeat(np.asarray(latents, dtype=np.float64), each, axis=0)
    for index, (one, two) in enumerate(pairwise(ways)):
        turn = cv2.Rodrigues(one[:3, :3].T @ two[:3, :3])[0]  # axis times angle
        for step in range(1, each):  # the last frame has the latent's own pose, exactly
            pose = poses[index * each + step - 1]
            pose[:3, :3] = one[:3, :3] @ cv2.Rodrigues(turn * (step / each))[0]
            pose[:3, 3] = one[:3, 3] + (two[:3, 3] - one[:3, 3]) * (step / each)
    return poses


def frame_times(spec: WorldSpec, chunks: int, count: int) -> np.ndarray:
    """Seconds [count] since the start frame of the last frames of an episode of so many chunks; 0 for the padding."""
    return _times(spec.frames_before(chunks), count, spec.fps).copy()


@lru_cache(maxsize=1024)
def _times(last: int, count: int, fps: float) -> np.ndarray:
    """Cached: many worlds ask for the same in every step."""
    return np.maximum(np.arange(last - count + 1, last + 1), 0) / fps


def intrinsics(focal: tuple[float, float], frame_size: tuple[int, int]) -> np.ndarray:
    """Camera matrix [3, 3] float64 in pixels; the principal point is the centre, (0, 0) the corner of a pixel.

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
    """One action per frame from one per new latent."""
    return [action for action in actions for _ in range(latent_frames)]


def on_host(frames: Frames) -> np.ndarray:
    """Frames as an array."""
    return frames.cpu().numpy() if isinstance(frames, torch.Tensor) else frames
