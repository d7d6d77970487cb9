"""Times of the stages of a step."""

from __future__ import annotations

import time
from itertools import pairwise

import torch


class StageClock:
    """Time between stages, shared equally by the episodes of a batch."""

    def __init__(self, episodes: int, device: torch.device) -> None:
        self.milliseconds: dict[str, float] = {}
        self._episodes, self._last = max(1, episodes), time.perf_counter()
        self._stream = torch.cuda.current_stream(device) if device.type == "cuda" else None
        self._events: list[tuple[str, torch.cuda.Event]] = []

    def stop(self, stage: str) -> None:
        """The end of a stage that ends with values on the host."""
        now = time.perf_counter()
        self.milliseconds[stage] = 1000.0 * (now - self._last) / self._episodes
        self._last = now
        self._record(stage)

    def add(self, stage: str, began: float) -> None:
        """A part of a stage of the host that is cut into parts and lies in between others."""
        spent = time.perf_counter() - began
        if stage not in self.milliseconds:
            self._record(stage)
        self.milliseconds[stage] = self.milliseconds.get(stage, 0.0) + 1000.0 * spent / self._episodes
        self._last += spent

    def mark(self, stage: str) -> None:
        """The end of handing a stage to the device, which carries it out when it gets there."""
        if self._stream is None:
            self.stop(stage)
        self._record(stage)

    def finish(self) -> None:
        """The device has done everything that was marked."""
        for (_, before), (stage, after) in pairwise(self._events):
            if stage not in self.milliseconds:
                after.synchronize()
                self.milliseconds[stage] = before.elapsed_time(after) / self._episodes

    def _record(self, stage: str) -> None:
        if self._stream is not None:
            event = torch.cuda.Event(enable_timing=True)
            event.record(self._stream)
            self._events.append((stage, event))
