"""Times of the stages of a step."""

from __future__ import annotations

import time
from itertools import pairwise

import torch


class StageClock:
    """Clock of the stages of a step; the episodes of a batch share the time equally."""

    def __init__(self, episodes: int, device: torch.device) -> None:
        self.milliseconds: dict[str, float] = {}
        self._episodes, self._last = max(1, episodes), time.perf_counter()
        self._device = device
        self._events: list[tuple[str, torch.cuda.Event]] = []

    def stop(self, stage: str) -> None:
        """End a stage whose results are on the host."""
        now = time.perf_counter()
        self.milliseconds[stage] = 1000.0 * (now - self._last) / self._episodes
        self._last = now
        self._record(stage)

    def add(self, stage: str, seconds: float) -> None:
        """Count ``seconds`` of the host's time for a stage instead of the stage that is running."""
        if stage not in self.milliseconds:
            self._record(stage)
        self.milliseconds[stage] = self.milliseconds.get(stage, 0.0) + 1000.0 * seconds / self._episodes
        self._last += seconds

    def mark(self, stage: str) -> None:
        """End a stage that hands work to the device, which runs the work later."""
        if self._device.type != "cuda":
            self.stop(stage)
        self._record(stage)

    def finish(self) -> None:
        """Wait until the device has run every marked stage, and read its times."""
        for (_, before), (stage, after) in pairwise(self._events):
            if stage not in self.milliseconds:
                after.synchronize()
                self.milliseconds[stage] = before.elapsed_time(after) / self._episodes

    def _record(self, stage: str) -> None:
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self._device))
            self._events.append((stage, event))
