"""One world driven along a trajectory: the library behind ``li-env rollout``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from li_env.accel.camera import STILL, CameraMotion
from li_env.accel.config import AccelConfig
from li_env.accel.engine import ChunkResult, Engine
from li_env.accel.report import RolloutReport
from li_env.accel.world import WorldModel, WorldSpec
from li_env.frames import engine_frames


@dataclass(frozen=True)
class Rollout:
    """All frames uint8 [n, H, W, 3], the number of frames up to and with each chunk, and the report.

    The first frame is the start frame that was given, the start frame that a world makes again is left out.
    """

    frames: np.ndarray
    chunk_ends: tuple[int, ...]
    report: dict[str, Any]


def fill_chunks(spec: WorldSpec, motions: Sequence[CameraMotion]) -> tuple[list[tuple[CameraMotion, ...]], int]:
    """Cut a trajectory into chunks; the last one is filled by standing still.

    A rollout has ``1 + len(motions)`` latents: the first chunk holds the start view beside its own motions.

    Returns:
        (motions per chunk, number of still motions added).
    """
    remaining = list(motions)
    chunks: list[tuple[CameraMotion, ...]] = []
    added = 0
    while remaining or not chunks:
        size = spec.latents_in_chunk(len(chunks)) - (0 if chunks else 1)
        taken, remaining = remaining[:size], remaining[size:]
        added += size - len(taken)
        chunks.append((*taken, *[STILL] * (size - len(taken))))
    return chunks, added


def roll_out(
    world: WorldModel,
    config: AccelConfig,
    image: np.ndarray,
    motions: Sequence[CameraMotion],
    seed: int,
    prompt: str = "",
    pose: np.ndarray | None = None,
    on_chunk: Callable[[], None] = lambda: None,
) -> Rollout:
    """Drive one world along ``motions`` (one per latent after the start).

    Args:
        world: the world model.
        config: acceleration.
        image: start frame uint8 [H, W, 3] of the world's size.
        motions: commanded motion per latent.
        seed: of the noise.
        prompt: text, where the world uses one.
        pose: camera-to-world of the start view; identity if absent.
        on_chunk: called after every chunk, for progress bars.
    """
    chunks, added = fill_chunks(world.spec, motions)
    note = f"trajectory completed by standing still for {added} latents" if added else ""
    report = RolloutReport(world.spec, config, seed, world.device, note)
    ends: list[int] = []

    def made() -> Iterator[ChunkResult]:
        for result in _chunks(Engine(world, config), image, prompt, seed, pose, chunks):
            report.add(result)
            ends.append(1 + world.spec.frames_before(len(ends) + 1))
            on_chunk()
            yield result

    frames = np.stack([record.frame for record in engine_frames(world.spec, image, made())])
    return Rollout(frames, tuple(ends), report.to_dict())


def _chunks(
    engine: Engine,
    image: np.ndarray,
    prompt: str,
    seed: int,
    pose: np.ndarray | None,
    chunks: Sequence[tuple[CameraMotion, ...]],
) -> Iterator[ChunkResult]:
    states = engine.start([image], [prompt], [seed], [np.eye(4) if pose is None else pose])
    for motions in chunks:
        states, (result,) = engine.step(states, [motions])
        yield result
        if result.degenerated:
            return
