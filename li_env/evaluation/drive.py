"""Worlds driven along camera paths: the library behind ``li-env rollout`` and ``li-env bench``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium.utils import seeding

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.runtime.chunk import ChunkResult, GenerationState
from li_env.accel.runtime.engine import Engine
from li_env.accel.runtime.report import RolloutReport
from li_env.accel.world import BaseWorld
from li_env.actions import ActionMapper
from li_env.episodes import EpisodeRunner
from li_env.evaluation.camera_path import CameraPath, fill_chunks
from li_env.frames import engine_frames, fresh_frames
from li_env.state import EpisodeState


@dataclass(frozen=True, eq=False)
class Rollout:
    """Rollout of one world.

    Attributes:
        frames: uint8 [n, H, W, 3]: the start frame, then every frame that was made, each once.
        poses: float64 [n, 4, 4]: camera-to-world of every frame.
        chunk_ends: number of frames up to and with each chunk.
        motions: the realised motions, in order.
        start_index: index of the start frame among the world's own, -1 for another image.
        report: JSON-ready report.
    """

    frames: np.ndarray
    poses: np.ndarray
    chunk_ends: tuple[int, ...]
    motions: tuple[CameraMotion, ...]
    start_index: int
    report: dict[str, Any]

    @property
    def chunks(self) -> list[np.ndarray]:
        """Frames of every chunk, without the start frame."""
        return np.split(self.frames[1:], np.array(self.chunk_ends[:-1], dtype=int) - 1)


def begin(engine: Engine, seeds: Sequence[int], options: Sequence[Mapping[str, Any]]) -> list[EpisodeState]:
    """Begin episodes as ``reset(seed=..., options=...)`` of an Explore environment does.

    Image, pose, prompt and the seed of the noise are those of the environment. The settings stay those of the engine
    that steps them.

    Args:
        engine: engine of the world.
        seeds: one per episode.
        options: reset options of every episode.

    Raises:
        ValueError: an option that is not allowed.
    """
    runner = EpisodeRunner(engine, ActionMapper("discrete", engine.world.spec.motion), "frame", False)
    for given in options:
        runner.check_options(given)
    states = runner.start([seeding.np_random(seed)[0] for seed in seeds], options)
    return [replace(state, episode=replace(state.episode, config=None)) for state in states]


def roll_out(
    world: BaseWorld,
    config: AccelConfig,
    begun: EpisodeState,
    motions: Sequence[CameraMotion],
    seed: int,
    on_chunk: Callable[[], None] = lambda: None,
) -> Rollout:
    """Drive one world along ``motions`` (one per latent after the start).

    Args:
        world: the world model.
        config: acceleration.
        begun: the episode before its first chunk, from `begin`.
        motions: commanded motion per latent.
        seed: seed of the episode, for the report.
        on_chunk: called after every chunk, to show progress.
    """
    chunks, added = fill_chunks(world.spec, motions)
    note = f"trajectory completed by standing still for {added} latents" if added else ""
    report = RolloutReport(world.spec, config, seed, world.device, note)
    results: list[ChunkResult] = []
    for result in _chunks(Engine(world, config), begun.episode, chunks):
        results.append(result)
        report.add(result)
        on_chunk()
    records = list(engine_frames(world.spec, begun.frames[0], results))
    bank = begun.episode.bank
    ends = np.cumsum([len(fresh_frames(result)) for result in results]) + 1
    return Rollout(
        np.stack([record.frame for record in records]),
        np.stack([record.pose for record in records]),
        tuple(int(end) for end in ends),
        tuple(motion for result in results for motion in result.motions),
        begun.start_index,
        {
            **report.to_dict(),
            "episode_seed": begun.episode.seed,
            "start_index": begun.start_index,
            **({} if bank is None else {"scan": {"path": bank.name, "sha256": bank.content_hash, "views": len(bank)}}),
        },
    )


def _chunks(
    engine: Engine, state: GenerationState, chunks: Sequence[tuple[CameraMotion, ...]]
) -> Iterator[ChunkResult]:
    states = [state]
    for motions in chunks:
        states, (result,) = engine.step(states, [motions])
        yield result
        if result.degenerated:
            return


def drive(
    engine: Engine, paths: Sequence[CameraPath], on_chunk: Callable[[], None] = lambda: None
) -> list[list[ChunkResult]]:
    """Drive paths of equal length as one batch; return the chunks of each."""
    states = [path.begun.episode for path in paths]
    made: list[list[ChunkResult]] = [[] for _ in paths]
    for motions in zip(*(path.motions for path in paths), strict=True):
        states, results = engine.step(states, motions)
        for chunks, result in zip(made, results, strict=True):
            chunks.append(result)
        on_chunk()
    return made


def batches(paths: Sequence[CameraPath], size: int) -> list[list[CameraPath]]:
    """Group consecutive paths of one trajectory, at most ``size`` at once.

    A batch shares its time equally, so trajectories must not be mixed: one would be credited with the other's work.
    """
    groups: list[list[CameraPath]] = []
    for path in paths:
        if groups and len(groups[-1]) < size and groups[-1][0].trajectory == path.trajectory:
            groups[-1].append(path)
        else:
            groups.append([path])
    return groups
