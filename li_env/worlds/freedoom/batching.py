"""Micro-batches: how many episodes a model call computes, and which requests share a call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import torch

from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.world import BaseWorld, ChunkRequest, SceneT, StreamT
from li_env.worlds.freedoom.sampler import Schedule, is_part

Item = TypeVar("Item")
Asked = TypeVar("Asked", ChunkRequest, ChunkPlan)

GPU_MICRO_BATCHES = (8, 32, 64)
"""Episodes per model call on a GPU: enough to keep it busy, few enough that activations stay in its cache."""

EARLY_CHUNKS, EARLY_ROWS = 5, 16
"""First chunks of an episode, until the context can be full, and the most of them that one model call computes.

In a training few episodes are at each of these chunks: most of a large micro-batch would be padding.
"""

BatchKey = tuple[int, int, AttentionPlan, bool, Schedule | None]
"""Size of the micro-batch, length of the context, attention, whether a first latent is given, and the schedule where
steps may be reused.

Requests with equal keys can share a pass.
"""

MicroBatch = list[tuple[int, ChunkRequest]]
"""Numbered requests with equal batch keys."""


def has_no_past(request: ChunkRequest) -> bool:
    """Tell whether the chunk begins an episode: its context holds nothing but views of a scan."""
    return request.context.shape[0] == len(request.plan.views)


def has_given_latent(request: ChunkRequest) -> bool:
    """Tell whether the chunk begins an episode at a start frame, whose latent is given."""
    return has_no_past(request) and request.scene.start is not None


def micro_batch_size(num_envs: int, device: torch.device) -> int:
    """Return how many episodes one model call computes in an environment of ``num_envs`` episodes.

    Every micro-batch has this size; the last one is padded. So an episode's result does not depend on how many others
    are in the same state. A CPU computes one episode per call: larger micro-batches are no faster there.
    """
    if device.type != "cuda":
        return 1
    return next((size for size in GPU_MICRO_BATCHES if num_envs <= size), GPU_MICRO_BATCHES[-1])


def rows_of(plan: ChunkPlan, size: int) -> int:
    """Return how many chunks like this one a model call computes where others go in micro-batches of ``size``."""
    return min(size, EARLY_ROWS) if plan.chunk < EARLY_CHUNKS else size


def micro_batches(items: Sequence[Item], size: int) -> Iterator[tuple[int, list[Item]]]:
    """Cut ``items`` into lists of ``size`` and yield each with its number of real items.

    The last list is padded with its last item.
    """
    for start in range(0, len(items), size):
        batch = list(items[start : start + size])
        yield len(batch), batch + [batch[-1]] * (size - len(batch))


class BatchScheduler(Generic[Asked]):
    """Requests that wait until a micro-batch is full.

    Args:
        size: requests in a full micro-batch (fewer of the first chunks, see `rows_of`).
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: dict[BatchKey, dict[Schedule, list[tuple[int, Asked]]]] = {}

    def add(self, number: int, request: Asked) -> list[tuple[int, Asked]] | None:
        """Add a request and return the micro-batch that it completes, all of one schedule, or None.

        A plan stands for the request of a chunk that does not begin an episode.
        """
        if isinstance(request, ChunkPlan):
            plan, context, given = request, request.context_latents, False
        else:
            plan, context, given = request.plan, request.context.shape[0], has_given_latent(request)
        reuse = None if plan.reuse_threshold is None and not plan.computed else plan.sigmas
        size = rows_of(plan, self._size)
        key = size, context, plan.attention, given, reuse
        schedules = self._waiting.setdefault(key, {})
        batch = schedules.setdefault(plan.sigmas, [])
        batch.append((number, request))
        return schedules.pop(plan.sigmas) if len(batch) == size else None

    def rest(self) -> Iterator[list[tuple[int, Asked]]]:
        """Yield the micro-batches that are not full, the longest schedule first.

        Requests with a shorter schedule join a longer one where all of them fit: the longer schedule's model calls are
        padded to a full micro-batch anyway. Chunks whose first latent is given do not mix schedules.
        """
        for (size, _, _, given, _), schedules in self._waiting.items():
            hosts: list[tuple[Schedule, list[tuple[int, Asked]]]] = []
            for sigmas in sorted(schedules, key=len, reverse=True):
                guests = schedules[sigmas]
                for host, batch in hosts:
                    if not given and len(guests) + len(batch) <= size and is_part(sigmas, host):
                        batch += guests
                        break
                else:
                    hosts.append((sigmas, list(guests)))
            yield from (batch for _, batch in hosts)


def calls_of(plans: Sequence[ChunkPlan], size: int) -> list[list[int]]:
    """Return the indices of the plans in every micro-batch of chunks that do not begin an episode, in order."""
    scheduler: BatchScheduler[ChunkPlan] = BatchScheduler(size)
    full = [scheduler.add(number, plan) for number, plan in enumerate(plans)]
    return [[number for number, _ in batch] for batch in (*full, *scheduler.rest()) if batch is not None]


class MicroBatchedWorld(BaseWorld[SceneT, StreamT]):
    """World that computes its episodes in such micro-batches.

    Attributes:
        dtype: type of the model's numbers.
        execution: how its networks run.
    """

    dtype: torch.dtype
    execution: str

    def micro_batch(self, num_envs: int) -> int:
        return micro_batch_size(num_envs, self.device)

    def model_calls(self, plans: Sequence[ChunkPlan], num_envs: int) -> list[list[int]]:
        return calls_of(plans, self.micro_batch(num_envs))

    def execution_name(self) -> str:
        return f"{str(self.dtype).removeprefix('torch.')}, {self.execution}"
