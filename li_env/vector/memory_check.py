"""Number of environments that fit into memory, checked before anything is allocated."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from li_env.accel.config import AccelConfig
from li_env.accel.view_bank import ViewBank
from li_env.accel.world import BaseWorld
from li_env.device_memory import free_memory

UNLIMITED_STEPS = 64
"""Assumed length of an episode without a time limit."""

USABLE = 0.9
"""Share of the free memory that environments may need: allocators keep a reserve."""


def check_memory(
    world: BaseWorld,
    num_envs: int,
    max_episode_steps: int | None,
    config: AccelConfig | None = None,
    banks: Sequence[ViewBank] = (),
) -> None:
    """Refuse more environments than the memory of the world's device holds at the end of their episodes.

    Args:
        world: the world.
        num_envs: number of environments.
        max_episode_steps: steps of an episode; None for no limit.
        config: settings of the episodes; the plain model by default.
        banks: views of scans that already are in memory. Those of reset options come later and are not known.

    Raises:
        ValueError: names the number asked for, the memory needed, the memory free, and the largest number that fits.
    """
    free = free_memory(world.device)
    if free is None:
        return
    held = bank_bytes(banks)

    def needed(count: int) -> int:
        return held + needed_bytes(world, count, max_episode_steps, config)

    room = USABLE * free + held
    if needed(num_envs) <= room:
        return
    largest = bisect_right(range(num_envs + 1), room, key=needed) - 1
    amounts = [f"{amount / 2**30:.1f} GiB" for amount in (needed(num_envs), free + held)]
    allowed = f"1 to {largest}" if largest > 0 else "none, the world is too large"
    raise ValueError(
        f"num_envs={num_envs} needs about {amounts[0]} on {world.device}, where {amounts[1]} are free; "
        f"allowed: {allowed}"
    )


def needed_bytes(
    world: BaseWorld, num_envs: int, max_episode_steps: int | None, config: AccelConfig | None = None
) -> int:
    """Estimate the bytes that ``num_envs`` environments need at the end of their episodes, beside views of scans.

    Counted are the history in float32, four copies of the last frames (decoded, kept, observed, observed before), the
    work that two chunks in a row keep where the settings share it (`BaseWorld.kept_bytes`), and the world's working
    memory for so many episodes (`BaseWorld.working_bytes`).
    """
    spec = world.spec
    steps = UNLIMITED_STEPS if max_episode_steps is None else max_episode_steps
    latents = spec.first_chunk_latents + (steps - 1) * spec.chunk_latents
    history = 4 * latents * math.prod(spec.latent_shape)
    frames = 4 * spec.chunk_frames * math.prod(spec.frame_size) * 3
    own = AccelConfig() if config is None else config.in_world(spec.name)
    kept = 2 * int(world.kept_bytes()) if own.reuse_context or own.reuse_blocks else 0
    return num_envs * (history + frames + kept) + int(world.working_bytes(num_envs))


def bank_bytes(banks: Sequence[ViewBank]) -> int:
    """Return the bytes of the latents of views; a bank that is shared counts once."""
    return sum(bank.nbytes for bank in {id(bank): bank for bank in banks}.values())
