"""The ways that are driven: one start frame, the motions that happen on it, and the real frames where there is a game.

All variants must see the same camera path, or a comparison of their frames would measure the difference of their paths.
The path is the game's where there is one, otherwise what the plain model's own motion limits made of the commands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.runtime.chunk import ChunkResult
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import MotionRequest, WorldModel
from li_env.accel.world_wrapper import WorldWrapper
from li_env.evaluation.bench.settings import REFERENCE, BenchSettings
from li_env.evaluation.drive import begin, fill_chunks
from li_env.evaluation.standard_paths import commands
from li_env.state import EpisodeState


@dataclass(frozen=True, eq=False)
class Course:
    """One rollout to be driven by every variant.

    Attributes:
        trajectory: its name.
        seed: of the noise and of the start frame.
        start: index of the start frame.
        begun: the episode before its first chunk: start frame, pose, prompt and noise as `drive.begin` makes them.
        motions: one tuple per chunk.
        real: the game's frames uint8 [latents, H, W, 3] along the way; None without a game.
    """

    trajectory: str
    seed: int
    start: int
    begun: EpisodeState
    motions: tuple[tuple[CameraMotion, ...], ...]
    real: np.ndarray | None = None

    @property
    def image(self) -> np.ndarray:
        """The start frame, uint8 [H, W, 3]."""
        return self.begun.frames[0]

    @property
    def flat(self) -> tuple[CameraMotion, ...]:
        """All motions in order."""
        return tuple(motion for chunk in self.motions for motion in chunk)

    def along(self, motions: Sequence[CameraMotion], world: WorldModel, real: np.ndarray | None = None) -> Course:
        """The same course along other motions, as many as before."""
        chunks, _ = fill_chunks(world.spec, motions)
        return replace(self, motions=tuple(chunks), real=real)


class FixedMotionWorld(WorldWrapper):
    """A world in which every commanded motion happens.

    The world's own motion limits are still computed, so that their time is measured, and then not used.
    """

    def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
        self.world.feasible_motions(requests)
        return [request.motions for request in requests]


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
    starts = [seed % len(frames) for seed in settings.seeds]
    engine = Engine(world, AccelConfig.preset(REFERENCE))
    begun = begin(engine, settings.seeds, [{"start": start} for start in starts])
    courses = []
    for name in settings.trajectories:
        for seed, start, moment in zip(settings.seeds, starts, begun, strict=True):
            chunks, _ = fill_chunks(spec, commands(name, length, spec.motion, seed))
            courses.append(Course(name, seed, start, moment, tuple(chunks)))
    return courses


def drive(
    engine: Engine, courses: Sequence[Course], on_chunk: Callable[[], None] = lambda: None
) -> list[list[ChunkResult]]:
    """Drive courses of equal length as one batch: the chunks of each."""
    states = [course.begun.episode for course in courses]
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
