"""Functions of tensors that are captured once as CUDA graphs and replayed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(eq=False)
class _Lane:
    """Graphs that are replayed on one stream, so never two at a time.

    Attributes:
        capture: stream that they are captured on, of this lane alone: what libraries keep per stream, such as the
            workspace of matrix products, becomes a part of the graph.
        pool: their memory pool; None before the first.
        graphs: by key and shapes: graph, static inputs, static output.
    """

    capture: torch.cuda.Stream
    pool: Any = None
    graphs: dict[Hashable, tuple[torch.cuda.CUDAGraph, list[torch.Tensor], torch.Tensor]] = field(default_factory=dict)


class Graphs:
    """Functions of tensors, captured once per key, shape and stream as CUDA graphs: one launch instead of thousands.

    A function must do all its work on the device and must not read a value back. Every stream has graphs of its own,
    with a memory pool that they share: the inputs and the working memory of a graph hold the numbers of one run only,
    and graphs of two streams may run at the same time.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._lanes: dict[int, _Lane] = {}

    def run(self, key: Hashable, function: Callable[..., torch.Tensor], *inputs: torch.Tensor) -> torch.Tensor:
        """Return ``function(*inputs)`` as a new tensor.

        Calls with equal ``key`` and equal input shapes and types replay the graph of the first of them, so they must
        mean the same function.
        """
        lane = self._lane(torch.cuda.current_stream(self._device))
        graph_key = key, *((tuple(each.shape), each.dtype) for each in inputs)
        if graph_key not in lane.graphs:
            lane.graphs[graph_key] = self._capture(lane, function, inputs)
        graph, static_inputs, out = lane.graphs[graph_key]
        for static, each in zip(static_inputs, inputs, strict=True):
            static.copy_(each)
        graph.replay()
        return out.clone()

    def _lane(self, stream: torch.cuda.Stream) -> _Lane:
        """Return the graphs of a stream."""
        if stream.cuda_stream not in self._lanes:
            taken = {*self._lanes, *(lane.capture.cuda_stream for lane in self._lanes.values())}
            # torch hands out its 32 streams in turn: a new one may be one that is in use.
            made = (torch.cuda.Stream(self._device) for _ in range(64))
            self._lanes[stream.cuda_stream] = _Lane(next(each for each in made if each.cuda_stream not in taken))
        return self._lanes[stream.cuda_stream]

    def _capture(
        self, lane: _Lane, function: Callable[..., torch.Tensor], inputs: Sequence[torch.Tensor]
    ) -> tuple[torch.cuda.CUDAGraph, list[torch.Tensor], torch.Tensor]:
        static_inputs = [each.clone(memory_format=torch.contiguous_format) for each in inputs]
        # Kernels are compiled and chosen before the capture, on a side stream as torch requires.
        current = torch.cuda.current_stream(self._device)
        lane.capture.wait_stream(current)
        with torch.cuda.stream(lane.capture):
            for _ in range(2):
                function(*static_inputs)
        current.wait_stream(lane.capture)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=lane.pool, stream=lane.capture):
            out = function(*static_inputs)
        lane.pool = graph.pool()
        return graph, static_inputs, out
