"""Gradient steps that a GPU replays as one launch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch

Batch: TypeAlias = Mapping[str, torch.Tensor]
"""Tensors of a gradient step by name."""

_EAGER_STEPS = 3
"""Steps of every batch shape before its graph is captured: kernels are chosen and moments allocated in them."""


@dataclass(frozen=True, eq=False)
class _Captured:
    graph: torch.cuda.CUDAGraph
    batch: Batch
    out: torch.Tensor


class GradientSteps:
    """Function that changes weights, with its hundreds of small kernels in one CUDA graph per shape of its batch.

    On a CPU, and in its first few steps on a GPU, it is called as it is. All steps are steps of the training: none is
    thrown away to warm up.

    Args:
        function: gradient step on a batch; returns numbers to log [n]. On a GPU it must not read a value back, and what
            changes from step to step must be in the batch or in tensors that stay where they are.
        device: of the weights.
    """

    def __init__(self, function: Callable[[Batch], torch.Tensor], device: torch.device) -> None:
        self._function = function
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._counts: dict[tuple[torch.Size, ...], int] = {}
        self._captured: dict[tuple[torch.Size, ...], _Captured] = {}

    def step(self, batch: Batch) -> torch.Tensor:
        """Step and return the numbers to log, a tensor [n] of its own."""
        if self._stream is None:
            return self._function(batch)
        shapes = tuple(each.shape for each in batch.values())
        count = self._counts[shapes] = self._counts.get(shapes, 0) + 1
        if count <= _EAGER_STEPS:
            return self._on_own_stream(self._stream, batch)
        if shapes not in self._captured:
            self._captured[shapes] = self._capture(self._stream, batch)
        captured = self._captured[shapes]
        for name, each in batch.items():
            captured.batch[name].copy_(each)
        captured.graph.replay()
        return captured.out.clone()

    def _on_own_stream(self, stream: torch.cuda.Stream, batch: Batch) -> torch.Tensor:
        """Step on the stream of the later capture: libraries keep working memory per stream."""
        current = torch.cuda.current_stream(stream.device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            out = self._function(batch)
        current.wait_stream(stream)
        return out

    def _capture(self, stream: torch.cuda.Stream, batch: Batch) -> _Captured:
        """Record a step without taking it."""
        static = {name: each.clone() for name, each in batch.items()}
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            out = self._function(static)
        return _Captured(graph, static, out)
