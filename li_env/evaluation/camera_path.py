"""Camera paths that every preset follows: a start frame, motions, and the game's frames where there is a game.

All variants must see the same camera path, or a comparison of their frames would measure the difference of their paths.
The path is the game's where there is one, otherwise what the plain model's own motion limits made of the commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from li_env.accel.geometry.camera import STILL, CameraMotion
from li_env.accel.world import BaseWorld
from li_env.accel.world_spec import WorldSpec
from li_env.state import EpisodeState


@dataclass(frozen=True, eq=False)
class CameraPath:
    """Camera path of one rollout, driven by every variant.

    Attributes:
        trajectory: name of its trajectory.
        seed: seed of the noise and of the start frame.
        start: index of the start frame.
        begun: the episode before its first chunk: start frame, pose, prompt and noise as `drive.begin` makes them.
        motions: one tuple per chunk.
        real: the game's frames uint8 [latents, H, W, 3] along the path; None without a game.
    """

    trajectory: str
    seed: int
    start: int
    begun: EpisodeState
    motions: tuple[tuple[CameraMotion, ...], ...]
    real: np.ndarray | None = None

    @property
    def image(self) -> np.ndarray:
        """Start frame, uint8 [H, W, 3]."""
        return self.begun.frames[0]

    @property
    def flat(self) -> tuple[CameraMotion, ...]:
        """All motions in order."""
        return tuple(motion for chunk in self.motions for motion in chunk)

    def along(self, motions: Sequence[CameraMotion], world: BaseWorld, real: np.ndarray | None = None) -> CameraPath:
        """Return this path with other motions, as many as before."""
        chunks, _ = fill_chunks(world.spec, motions)
        return replace(self, motions=tuple(chunks), real=real)


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
