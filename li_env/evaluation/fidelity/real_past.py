"""World driven along the game's own poses, through the engine that the product uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion, relative_motion
from li_env.accel.history import History
from li_env.accel.runtime.chunk import ChunkResult, GenerationState
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import BaseWorld
from li_env.accel.world_spec import WorldSpec
from li_env.evaluation.fidelity.settings import BATCH, CHUNK
from li_env.evaluation.fixed_motion import FixedMotionWorld

_ENCODED_AT_ONCE = 512


class Player:
    """Driver of batches of episodes with a number of denoising steps, with or without retrieved latents."""

    def __init__(self, world: BaseWorld, preset: str, steps: int, memory: bool) -> None:
        driven = FixedMotionWorld(world, variant_spec(world.spec, steps, memory), timed=False)
        self.engine = Engine(driven, AccelConfig.of(preset))
        self.steps, self.memory = steps, memory

    def step(
        self, states: Sequence[GenerationState], motions: Sequence[Sequence[CameraMotion]]
    ) -> tuple[list[GenerationState], list[ChunkResult]]:
        """Step episodes as `Engine.step` does, at most `settings.BATCH` at once."""
        following, results = [], []
        for begin in range(0, len(states), BATCH):
            part = slice(begin, begin + BATCH)
            after, made = self.engine.step(states[part], motions[part])
            following += after
            results += made
        return following, results


def variant_spec(spec: WorldSpec, steps: int, memory: bool) -> WorldSpec:
    """Return a world's constants for another number of denoising steps, with or without retrieved latents.

    Args:
        spec: constants of the world.
        steps: denoising steps: the world's own schedule if it has that many, else evenly spaced noise levels.
        memory: False leaves the recent window alone in the context.
    """
    own = spec.sigmas
    return replace(
        spec,
        sigmas=own if len(own) == steps + 1 else tuple(1 - step / steps for step in range(steps + 1)),
        context_latents=spec.context_latents if memory else spec.temporal_latents,
    )


def chunk_motions(poses: np.ndarray, chunk: int) -> tuple[CameraMotion, ...]:
    """Return the motions of chunk ``chunk`` along ``poses`` [L, 4, 4]: three in chunk 0, else four."""
    begin = CHUNK * chunk
    return tuple(
        relative_motion(poses[index - 1], poses[index]) for index in range(max(1, begin), begin + CHUNK)
    )  # fmt: skip


def encode(world: BaseWorld, frames: np.ndarray) -> torch.Tensor:
    """Encode real frames uint8 [..., H, W, 3] to latents [..., C, h, w] on the world's device."""
    flat = frames.reshape(-1, *frames.shape[-3:])
    latents = []
    with torch.inference_mode():
        for begin in range(0, len(flat), _ENCODED_AT_ONCE):
            part = list(flat[begin : begin + _ENCODED_AT_ONCE])
            # a scene of this world is the start frame's latent
            latents.append(torch.stack([scene.start for scene in world.start(part, [""] * len(part))]))
    return torch.cat(latents).reshape(*frames.shape[:-3], *latents[0].shape[1:])


def decode(world: BaseWorld, latents: torch.Tensor) -> np.ndarray:
    """Decode latents [n, T, C, h, w] to frames uint8 [n, T, H, W, 3], to show what the autoencoder alone loses."""
    frames = []
    with torch.inference_mode():
        for part in latents.split(BATCH):
            frames += world.decode(list(part), [None] * len(part))[0]
    return np.stack(frames)


class RealPast:
    """Episodes of one trajectory whose past is the real game's: latents [L, C, h, w] at ``poses`` [L, 4, 4]."""

    def __init__(self, world: BaseWorld, frames: np.ndarray, latents: torch.Tensor, poses: np.ndarray) -> None:
        (self._scene,) = world.start([frames[0]], [""])
        self._latents, self._poses = latents, poses
        self._histories = [History()]

    def state(self, chunk: int, seed: int) -> GenerationState:
        """Return the episode just before chunk ``chunk`` (1 or more) is made."""
        while len(self._histories) <= chunk:
            made = len(self._histories) - 1
            rows = slice(CHUNK * made, CHUNK * (made + 1))
            history = self._histories[-1].append(
                self._latents[rows].clone(), self._poses[rows], chunk_motions(self._poses, made)
            )
            self._histories.append(history)
        pose = self._poses[CHUNK * chunk - 1].copy()
        return GenerationState(self._scene, self._histories[chunk], None, seed, pose, chunk, False)


def episode_seed(seed: int, trajectory: int) -> int:
    """Return the noise seed of a trajectory, the same for every variant, so that noise explains no difference."""
    return 1_000_000 * seed + trajectory
