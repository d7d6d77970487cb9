"""How the freedoom world's networks are carried out: plainly, in fused passes, or as CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Literal, TypeVar

import torch

from li_env.kernels.backend import uses_triton
from li_env.worlds.common.tile_attention import SparseAttention
from li_env.worlds.common.transformer_fused import Context, context_pass, denoise
from li_env.worlds.freedoom.dynamics import Cameras, DynamicsModel

Item = TypeVar("Item")
Execution = Literal["plain", "fused", "graphs"]
EXECUTIONS: tuple[Execution, ...] = ("plain", "fused", "graphs")

GPU_BLOCKS = (8, 32, 64)
"""Worlds computed together on a GPU. Large enough to keep it busy, small enough that activations stay in its cache."""


class FusedDynamics:
    """`DynamicsModel` carried out by `li_env.worlds.common.transformer_fused`: the same function up to rounding.

    Args:
        model: whose weights are used.
    """

    def __init__(self, model: DynamicsModel) -> None:
        self._model = model

    def context_pass(
        self, latents: torch.Tensor, sigma: torch.Tensor, cameras: Cameras, sparse: SparseAttention | None = None
    ) -> Context:
        """See `DynamicsModel.context_pass`."""
        tokens, tiles = self._model.tokens(latents, cameras), None if sparse is None else sparse.context
        # Branches of the context are made once for all denoising calls: in a world this small they cost memory it has.
        return context_pass(self._model.transformer, tokens, sigma * 1000, cameras.tables, tiles=tiles, keep=True)

    def __call__(
        self,
        noisy: torch.Tensor,
        sigma: torch.Tensor,
        cameras: Cameras,
        context: Context | None,
        sparse: SparseAttention | None = None,
    ) -> torch.Tensor:
        """See `DynamicsModel.forward`."""
        tokens, tiles = self._model.tokens(noisy, cameras), None if sparse is None else sparse.denoising
        return denoise(self._model.transformer, tokens, sigma * 1000, cameras.tables, context, tiles=tiles)


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


def is_fast(device: torch.device) -> bool:
    """Whether this is a GPU that has bfloat16 and runs the Triton kernels (compute capability 8.0 or newer)."""
    return device.type == "cuda" and uses_triton(device)


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
