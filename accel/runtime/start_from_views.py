"""Start frames generated from the views of scans alone, for episodes that begin at a pose without a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.device import on_host
from li_env.accel.geometry.camera import STILL
from li_env.accel.history import History
from li_env.accel.micro_batch import episodes_together
from li_env.accel.planning.planner import Planner
from li_env.accel.runtime.ambient import own_torch_state
from li_env.accel.runtime.chunk import GenerationState, PlannedChunk
from li_env.accel.runtime.contexts import chunk_requests
from li_env.accel.runtime.noise import noise_of
from li_env.accel.runtime.promises import check_frames, check_latents
from li_env.accel.view_bank import ViewBank
from li_env.accel.world import BaseWorld, ChunkRequest

NOISE_CHUNK = -1
"""Chunk by whose noise start frames are made: no other chunk of the episode has this noise."""

TOGETHER = 8
"""Start frames made in one call, in an environment of any size: in a training few episodes begin at the same time."""


def generate_starts(
    world: BaseWorld,
    prompts: Sequence[str],
    seeds: Sequence[int],
    poses: Sequence[np.ndarray],
    banks: Sequence[ViewBank],
) -> list[np.ndarray]:
    """Generate the start frame uint8 [H, W, 3] of each episode: the first frame of a chunk in which the camera stands.

    The chunk is computed in full, with the plain model's context.

    Args:
        world: a world without ``needs_start_frame``.
        prompts: one text per episode.
        seeds: of the noise.
        poses: [4, 4] per episode.
        banks: views of the scan of each episode.

    Raises:
        ValueError: the world needs a start frame.
    """
    if not poses:
        return []
    spec, count = world.spec, world.spec.first_chunk_latents
    standing = [np.repeat(np.asarray(pose, dtype=np.float64)[None], count, axis=0) for pose in poses]
    with own_torch_state(), torch.inference_mode(), episodes_together(TOGETHER):
        states = [
            GenerationState(scene, History(), None, seed, pose, 0, False, None, bank)
            for scene, seed, pose, bank in zip(world.start_from_views(prompts), seeds, poses, banks, strict=True)
        ]
        plans = Planner(spec, AccelConfig(), world.view_overlap).plan(
            [state.history for state in states], standing, banks
        )
        stills = (STILL,) * (count - 1)
        chunks = [PlannedChunk(plan, each, stills, stills) for plan, each in zip(plans, standing, strict=True)]
        noise = noise_of(spec, seeds, [NOISE_CHUNK] * len(states), [count] * len(states), world.device)
        requests = chunk_requests(world, states, chunks, noise)
        parts = [requests[first : first + TOGETHER] for first in range(0, len(requests), TOGETHER)]
        return [frame for part in parts for frame in _first_frames(world, part)]


def _first_frames(world: BaseWorld, requests: Sequence[ChunkRequest]) -> list[np.ndarray]:
    """Generate chunks and return the first frame of each, on the host."""
    spec, count = world.spec, world.spec.first_chunk_latents
    made = list(world.generate(requests))
    check_latents(world, made, [count] * len(requests))
    finite = [torch.nan_to_num(latents, nan=0.0, posinf=0.0, neginf=0.0) for latents in made]
    frames, _ = world.decode(finite, [None] * len(requests))
    check_frames(world, frames, [spec.new_frames(0) + 1] * len(requests))
    return [np.array(on_host(each[0])) for each in frames]
