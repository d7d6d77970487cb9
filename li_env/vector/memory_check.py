"""Number of environments that fit into memory, checked before anything is allocated."""

from __future__ import annotations

import math
from bisect import bisect_right

from li_env.accel.world import BaseWorld
from li_env.device_memory import free_memory

UNLIMITED_STEPS = 64
"""Assumed length of an episode without a time limit."""

USABLE = 0.9
"""Share of the free memory that environments may need: allocators keep a reserve."""


def check_memory(world: BaseWorld, num_envs: int, max_episode_steps: int | None) -> None:
    """Refuse more environments than the memory of the world's device holds at the end of their episodes.

    Raises:
        ValueError: names the number asked for, the memory needed, the memory free, and the largest number that fits.
    """
    free = free_memory(world.device)
    if free is None or needed_bytes(world, num_envs, max_episode_steps) <= USABLE * free:
        return
    sizes = range(num_envs + 1)
    largest = bisect_right(sizes, USABLE * free, key=lambda count: needed_bytes(world, count, max_episode_steps)) - 1
    needed, room = (f"{amount / 2**30:.1f} GiB" for amount in (needed_bytes(world, num_envs, max_episode_steps), free))
    allowed = f"1 to {largest}" if largest > 0 else "none, the world is too large"
    raise ValueError(
        f"num_envs={num_envs} needs about {needed} on {world.device}, where {room} are free; allowed: {allowed}"
    )


def needed_bytes(world: BaseWorld, num_envs: int, max_episode_steps: int | None) -> int:
    """Estimate the bytes that ``num_envs`` environments need at the end of their episodes.

    Counted are the history in float32, four copies of the last frames (decoded, kept, observed, observed before), and
    the world's working memory for so many episodes (`BaseWorld.working_bytes`).
    """
    spec = world.spec
    steps = UNLIMITED_STEPS if max_episode_steps is None else max_episode_steps
    latents = spec.first_chunk_latents + (steps - 1) * spec.chunk_latents
    history = 4 * latents * math.prod(spec.latent_shape)
    frames = 4 * spec.chunk_frames * math.prod(spec.frame_size) * 3
    return num_envs * (history + frames) + int(world.working_bytes(num_envs))
