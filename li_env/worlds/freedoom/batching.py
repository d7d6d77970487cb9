"""Blocks put together from requests as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch

from li_env.accel.plan import AttentionPlan
from li_env.accel.world import ChunkRequest
from li_env.worlds.freedoom.sampler import Schedule, is_part

Item = TypeVar("Item")

GPU_BLOCKS = (8, 32, 64)
"""Worlds computed together on a GPU. Large enough to keep it busy, small enough that activations stay in its cache."""

Kind = tuple[int, AttentionPlan]
"""Length of the context and attention: chunks of one kind can share a context pass."""

Block = list[tuple[int, ChunkRequest]]
"""Numbered requests of one kind."""


def block_size(count: int, device: torch.device) -> int:
    """Worlds computed together when ``count`` are asked for.

    A block always has this size, the last one is padded, so that what a world gets does not depend on how many others
    are in the same state. On a CPU a block is one world: larger ones are no faster there.
    """
    if device.type != "cuda":
        return 1
    return next((size for size in GPU_BLOCKS if count <= size), GPU_BLOCKS[-1])


def blocks(items: Sequence[Item], size: int) -> Iterator[tuple[int, list[Item]]]:
    """Runs of ``size`` items with the number of real ones; the last run is filled up with its last item."""
    for start in range(0, len(items), size):
        run = list(items[start : start + size])
        yield len(run), run + [run[-1]] * (size - len(run))


class BatchScheduler:
    """Requests that wait for a full block.

    Args:
        size: of a block.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kinds: dict[Kind, dict[Schedule, Block]] = {}

    def add(self, number: int, request: ChunkRequest) -> Block | None:
        """Take one in; the block that it completes, all of one schedule."""
        schedules = self._kinds.setdefault((request.context.shape[0], request.plan.attention), {})
        block = schedules.setdefault(request.plan.sigmas, [])
        block.append((number, request))
        return schedules.pop(request.plan.sigmas) if len(block) == self._size else None

    def rest(self) -> Iterator[Block]:
        """What is left when no more come: blocks that are not full, the longest schedule first.

        Those of a shorter schedule fill empty places beside a longer one where they all fit: the longer one's model
        calls are made for a whole block anyway. First chunks, which have no context, keep to themselves.
        """
        for (context, _), schedules in self._kinds.items():
            hosts: list[tuple[Schedule, Block]] = []
            for sigmas in sorted(schedules, key=len, reverse=True):
                guests = schedules[sigmas]
                for host, block in hosts:
                    if context and len(guests) + len(block) <= self._size and is_part(sigmas, host):
                        block += guests
                        break
                else:
                    hosts.append((sigmas, list(guests)))
            yield from (block for _, block in hosts)
