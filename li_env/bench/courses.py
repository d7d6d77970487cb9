"""The ways that are driven: one start frame, the motions that happen on it, and the real frames where there is a game.

All variants must see the same camera path, or a comparison of their frames would measure the difference of their paths.
The path is the game's where there is one, otherwise what the plain model's own motion limits made of the commands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from li_env.accel.camera import CameraMotion
from li_env.accel.engine import ChunkResult, Engine
from li_env.accel.world import ChunkRequest, DecodeStream, MotionRequest, Scene, WorldModel
from li_env.bench.settings import BenchSettings
from li_env.bench.trajectories import commands
from li_env.rollout import fill_chunks


@dataclass(frozen=True, eq=False)
class Course:
    """One rollout to be driven by every variant.

    Attributes:
        trajectory: its name.
        seed: of the noise and of the start frame.
        start: index of the start frame.
        image: the start frame, uint8 [H, W, 3].
        motions: one tuple per chunk.
        real: the game's frames uint8 [latents, H, W, 3] along the way; None without a game.
    """

    trajectory: str
    seed: int
    start: int
    image: np.ndarray
    motions: tuple[tuple[CameraMotion, ...], ...]
    real: np.ndarray | None = None

    @property
    def flat(self) -> tuple[CameraMotion, ...]:
        """All motions in order."""
        return tuple(motion for chunk in self.motions for motion in chunk)

    def along(self, motions: Sequence[CameraMotion], world: WorldModel, real: np.ndarray | None = None) -> Course:
        """The same course along other motions, as many as before."""
        chunks, _ = fill_chunks(world.spec, motions)
        return replace(self, motions=tuple(chunks), real=real)


class FollowedWorld:
    """A world whose camera goes exactly where it is told.

    The world's own motion limits are still computed, so that their time is measured, and then not used.
    """

    def __init__(self, world: WorldModel) -> None:
        self._world, self.spec, self.device = world, world.spec, world.device
        self.view_overlap = getattr(world, "view_overlap", None)

    def start(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[Scene]:
        return self._world.start(images, prompts)

    def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
        self._world.feasible_motions(requests)
        return [request.motions for request in requests]

    def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
        return self._world.generate(requests)

    def decode(
        self, latents: Sequence[torch.Tensor], streams: Sequence[DecodeStream]
    ) -> tuple[list[np.ndarray], list[DecodeStream]]:
        return self._world.decode(latents, streams)


def commanded_courses(world: WorldModel, settings: BenchSettings) -> list[Course]:
    """Every trajectory with every seed, as commanded.

    Raises:
        ValueError: the world brings no start frames.
    """
    frames = getattr(world, "start_frames", None)
    if frames is None or not len(frames):
        raise ValueError(f"world={world.spec.name!r} has no start frames to begin with; use a world that has some")
    spec = world.spec
    length = spec.first_chunk_latents - 1 + (settings.chunks - 1) * spec.chunk_latents
    courses = []
    for name in settings.trajectories:
        for seed in settings.seeds:
            start = seed % len(frames)
            chunks, _ = fill_chunks(spec, commands(name, length, spec.motion, seed))
            courses.append(Course(name, seed, start, np.ascontiguousarray(frames[start]), tuple(chunks)))
    return courses


def drive(
    engine: Engine, courses: Sequence[Course], on_chunk: Callable[[], None] = lambda: None
) -> list[list[ChunkResult]]:
    """Drive courses of equal length as one batch: the chunks of each."""
    states = engine.start([course.image for course in courses], [""] * len(courses), [c.seed for c in courses])
    made: list[list[ChunkResult]] = [[] for _ in courses]
    for motions in zip(*(course.motions for course in courses), strict=True):
        states, results = engine.step(states, motions)
        for chunks, result in zip(made, results, strict=True):
            chunks.append(result)
        on_chunk()
    return made


def batches(courses: Sequence[Course], size: int) -> list[list[Course]]:
    """Consecutive courses of one trajectory, at most ``size`` at once.

    A batch shares its time equally, so trajectories must not be mixed: one would be credited with the other's work.
    """
    groups: list[list[Course]] = []
    for course in courses:
        if groups and len(groups[-1]) < size and groups[-1][0].trajectory == course.trajectory:
            groups[-1].append(course)
        else:
            groups.append([course])
    return groups
