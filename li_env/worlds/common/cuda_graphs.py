"""Functions of tensors that are captured once as CUDA graphs and replayed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch


class Graphs:
    """Functions of tensors, captured once per kind as CUDA graphs and replayed: one launch instead of thousands.

    A function must do all its work on the device, and ask the host nothing. Graphs share their scratch memory.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._kept: dict[Hashable, tuple[torch.cuda.CUDAGraph, list[torch.Tensor], torch.Tensor]] = {}
        self._pool: Any = None

    def run(self, kind: Hashable, function: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> torch.Tensor:
        """``function(*inputs)``: a new tensor. Calls of one ``kind`` with equal shapes must mean the same function."""
        key = kind, *((tuple(each.shape), each.dtype) for each in inputs)
        if key not in self._kept:
            self._kept[key] = self._capture(function, inputs)
        graph, places, out = self._kept[key]
        for place, each in zip(places, inputs, strict=True):
            place.copy_(each)
        graph.replay()
        return out.clone()

    def _capture(
        self, function: Callable[..., torch.Tensor], inputs: Sequence[torch.Tensor]
    ) -> tuple[torch.cuda.CUDAGraph, list[torch.Tensor], torch.Tensor]:
        places = [each.clone(memory_format=torch.contiguous_format) for each in inputs]
        # Kernels are compiled and chosen before the capture, on a stream of their own as torch asks for.
        side, now = torch.cuda.Stream(self._device), torch.cuda.current_stream(self._device)
        side.wait_stream(now)
        with torch.cuda.stream(side):
            for _ in range(2):
                function(*places)
        now.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            out = function(*places)
        self._pool = graph.pool()
        return graph, places, out
