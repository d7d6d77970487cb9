"""Requests of a step, planned in micro-batches while a streaming world generates the first ones."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from li_env.accel.kept_work import Sharing
from li_env.accel.micro_batch import FIRST_MICRO_BATCH, PLANNER_MICRO_BATCH
from li_env.accel.plan import ChunkPlan
from li_env.accel.runtime.chunk import PlannedChunk
from li_env.accel.world import ChunkRequest, StepLog


class PlannedRequests:
    """Sized iterator over the requests of a step; the first micro-batch is planned at once, later ones when asked for.

    Args:
        count: episodes of the step.
        decide: plans the episodes of a slice.
        prepare: turns their plans into planned chunks and requests.

    Attributes:
        chunks: chunks planned so far, complete once the iterator is exhausted.
        sharing: exchange of every planned chunk, None where nothing is shared.
        seconds: time that ``decide`` has taken.
    """

    def __init__(
        self,
        count: int,
        decide: Callable[[slice], list[ChunkPlan]],
        prepare: Callable[[slice, Sequence[ChunkPlan]], tuple[list[PlannedChunk], list[ChunkRequest]]],
    ) -> None:
        self._count, self._decide, self._prepare = count, decide, prepare
        self._planned, self._ready = 0, deque[ChunkRequest]()
        self.chunks: list[PlannedChunk] = []
        self.sharing: list[Sharing | None] = []
        self._logs: list[StepLog | None] = []
        self.seconds = 0.0
        self._plan_more()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[ChunkRequest]:
        return self

    def __next__(self) -> ChunkRequest:
        if not self._ready:
            if self._planned >= self._count:
                raise StopIteration
            self._plan_more()
        return self._ready.popleft()

    def made_plans(self) -> list[ChunkPlan]:
        """Return the plans with what the world really computed, once it has made the chunks."""
        return [
            chunk.plan if log is None or not log.computed else replace(chunk.plan, computed=log.computed)
            for chunk, log in zip(self.chunks, self._logs, strict=True)
        ]

    def _plan_more(self) -> None:
        size = PLANNER_MICRO_BATCH if self._planned else min(FIRST_MICRO_BATCH, PLANNER_MICRO_BATCH)
        part = slice(self._planned, self._planned + size)
        began = time.perf_counter()
        plans = self._decide(part)
        self.seconds += time.perf_counter() - began
        chunks, requests = self._prepare(part, plans)
        self.chunks += chunks
        self.sharing += [request.sharing for request in requests]
        self._logs += [request.log for request in requests]
        self._ready.extend(requests)
        self._planned = part.stop
