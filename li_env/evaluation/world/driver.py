"""Batches of episodes with and without a scan, driven along the game's poses or by commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.runtime.chunk import ChunkResult, GenerationState
from li_env.accel.runtime.engine import Engine
from li_env.accel.view_bank import ViewBank
from li_env.accel.world import BaseWorld
from li_env.evaluation.fidelity.real_past import chunk_motions, variant_spec
from li_env.evaluation.fidelity.reference_videos import ReferenceVideos
from li_env.evaluation.fidelity.settings import BATCH, CHUNK
from li_env.evaluation.fixed_motion import FixedMotionWorld

Banks = Sequence[ViewBank] | None
"""Views of the scan of every episode; None without scans."""


@dataclass(frozen=True, eq=False)
class Played:
    """Episodes of equal length.

    Attributes:
        frames: uint8 [N, L, H, W, 3], the given start frame first.
        poses: [N, L, 4, 4], where the cameras were.
        broken: bool [N], whether the world made a number that is not finite.
    """

    frames: np.ndarray
    poses: np.ndarray
    broken: np.ndarray


class Driver:
    """Driver of episodes of one world under one preset.

    Args:
        world: the world.
        preset: acceleration preset.
        steps: denoising steps; the world's own by default.
        walls: whether the world's own motion limits hold; otherwise every motion is realised.
    """

    def __init__(self, world: BaseWorld, preset: str, steps: int | None = None, walls: bool = False) -> None:
        own = len(world.spec.sigmas) - 1
        driven = world
        if not walls:
            spec = variant_spec(world.spec, own if steps is None else steps, memory=True)
            driven = FixedMotionWorld(world, spec, timed=False)
        self.engine = Engine(driven, AccelConfig.of(preset))

    def start(
        self, images: np.ndarray | Sequence[np.ndarray], poses: np.ndarray, seeds: Sequence[int], banks: Banks = None
    ) -> list[GenerationState]:
        """Begin one episode per start frame uint8 [H, W, 3] and pose [4, 4]."""
        return self.engine.start(list(images), [""] * len(images), seeds, list(poses), banks=banks)

    def step(
        self, states: Sequence[GenerationState], motions: Sequence[Sequence[CameraMotion]]
    ) -> tuple[list[GenerationState], list[ChunkResult]]:
        """Step episodes as `Engine.step` does, at most `settings.BATCH` at once."""
        following, results = [], []
        for begin in range(0, len(states), BATCH):
            after, made = self.engine.step(states[begin : begin + BATCH], motions[begin : begin + BATCH])
            following += after
            results += made
        return following, results

    def follow(
        self, states: Sequence[GenerationState], poses: np.ndarray, chunks: range
    ) -> tuple[np.ndarray, np.ndarray]:
        """Make chunks along ``poses`` [N, L, 4, 4]: frames uint8 [N, 4 * chunks, H, W, 3] and broken bool [N]."""
        parts = []
        for chunk in chunks:
            states, results = self.step(states, [chunk_motions(path, chunk) for path in poses])
            parts.append(np.stack([result.frames for result in results]))
        return np.concatenate(parts, axis=1), np.array([state.degenerated for state in states])

    def play(
        self,
        videos: ReferenceVideos,
        seeds: Sequence[int],
        chunks: int,
        banks: Banks = None,
        starts: np.ndarray | Sequence[np.ndarray] | None = None,
    ) -> Played:
        """Generate everything after the start frame, along the game's poses.

        Args:
            videos: the game along N walks.
            seeds: of the noise, one per walk.
            chunks: number of chunks.
            banks: views of scans.
            starts: start frames uint8 [H, W, 3]; the game's by default.
        """
        states = self.start(videos.frames[:, 0] if starts is None else starts, videos.poses[:, 0], seeds, banks)
        frames, broken = self.follow(states, videos.poses, range(chunks))
        return Played(frames, videos.poses[:, : CHUNK * chunks], broken)

    def obey(
        self, videos: ReferenceVideos, commands: np.ndarray, seeds: Sequence[int], chunks: int, banks: Banks = None
    ) -> np.ndarray:
        """Command motions and return the poses [N, chunks + 1, 4, 4] of the start and after every chunk.

        Args:
            videos: the game, whose first frames and poses begin the episodes.
            commands: [N, 4 * chunks - 1 or more, 3] (yaw degrees, right, forward metres) per latent.
            seeds: of the noise.
            chunks: number of chunks.
            banks: views of scans.
        """
        states = self.start(videos.frames[:, 0], videos.poses[:, 0], seeds, banks)
        reached = [videos.poses[:, 0]]
        for chunk in range(chunks):
            part = slice(max(0, CHUNK * chunk - 1), CHUNK * (chunk + 1) - 1)
            states, _ = self.step(states, [motions_of(row[part]) for row in commands])
            reached.append(np.stack([state.pose for state in states]))
        return np.stack(reached, axis=1)


def motions_of(table: np.ndarray) -> tuple[CameraMotion, ...]:
    """Convert [n, 3] (yaw degrees, right, forward metres) to motions."""
    return tuple(CameraMotion(yaw=float(yaw), right=float(right), forward=float(ahead)) for yaw, right, ahead in table)
