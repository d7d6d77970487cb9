"""Blocks put together from requests as they come."""

from __future__ import annotations

from collections.abc import Iterator

from li_env.accel.plan import AttentionPlan
from li_env.accel.world import ChunkRequest
from li_env.worlds.freedoom.sampler import Schedule, is_part

Kind = tuple[int, AttentionPlan]
"""Length of the context and attention: chunks of one kind can share a context pass."""

Block = list[tuple[int, ChunkRequest]]
"""Numbered requests of one kind."""


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
