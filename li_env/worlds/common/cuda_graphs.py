"""Functions of tensors that are captured once as CUDA graphs and replayed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch


class Graphs:
    """Functions of tensors, captured once per key and shape as CUDA graphs: one launch instead of thousands.

    A function must do all its work on the device and must not read a value back. All graphs share one memory pool.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._kept: dict[Hashable, tuple[torch.cuda.CUDAGraph, list[torch.Tensor], torch.Tensor]] = {}
        self._pool: Any = None

    def run(self, key: Hashable, function: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> torch.Tensor:
        """Return ``function(*inputs)`` as a new tensor.

        Calls with equal ``key`` and equal input shapes and types replay the graph of the first of them, so they must
        mean the same function.
        """
        graph_key = key, *((tuple(each.shape), each.dtype) for each in inputs)
        if graph_key not in self._kept:
            self._kept[graph_key] = self._capture(function, inputs)
        graph, static_inputs, out = self._kept[graph_key]
        for static, each in zip(static_inputs, inputs, strict=True):
            static.copy_(each)
        graph.replay()
        return out.clone()

    def _capture(
        self, function: Callable[..., torch.Tensor], inputs: Sequence[torch.Tensor]
    ) -> tuple[torch.cuda.CUDAGraph, list[torch.Tensor], torch.Tensor]:
        static_inputs = [each.clone(memory_format=torch.contiguous_format) for each in inputs]
        # Kernels are compiled and chosen before the capture, on a side stream as torch requires.
        side, current = torch.cuda.Stream(self._device), torch.cuda.current_stream(self._device)
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(2):
                function(*static_inputs)
        current.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            out = function(*static_inputs)
        self._pool = graph.pool()
        return graph, static_inputs, out
