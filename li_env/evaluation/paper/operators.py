"""Time of operators around attention, fused and unfused, at the size of a world's chunk (figure 4)."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch

from li_env.accel.world import BaseWorld
from li_env.kernels.backend import uses_triton
from li_env.kernels.gated_norm import gated_norm, naive_gated_norm
from li_env.kernels.rope_prope import join_branches, naive_join_branches, naive_split_branches, split_branches

HEADS, WIDTH = 6, 64
"""Heads and their width: the sizes of ``freedoom``; other worlds are measured with their own number of tokens."""

_RUNS = 9


def operator_times(world: BaseWorld) -> dict[str, dict[str, float]]:
    """Time operators on the tokens of a full context.

    Returns:
        Milliseconds by operator, ``unfused`` (readable torch) and ``fused``: one Triton kernel. ``fused`` is missing
        where Triton does not run, because the package computes the unfused operator there.
    """
    device, spec = world.device, world.spec
    frames, size = spec.context_latents, spec.token_grid[0] * spec.token_grid[1]
    tokens, channels = frames * size, HEADS * WIDTH
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    z, branch = draw(1, tokens, channels), draw(1, tokens, channels)
    gate, shift, scale = (draw(1, frames, channels) for _ in range(3))
    numbers = torch.arange(frames, dtype=torch.int32, device=device).repeat_interleave(size)
    matrices = draw(1, frames, 4, 4).float()
    rotation = draw(tokens, WIDTH // 2).float(), draw(tokens, WIDTH // 2).float()
    out, weight = draw(2, HEADS, tokens, WIDTH), draw(WIDTH)
    calls: dict[str, tuple[Callable[..., object], Callable[..., object], tuple[object, ...]]] = {
        "update and norm": (naive_gated_norm, gated_norm, (z, (branch,), gate, shift, scale, numbers)),
        "split branches": (naive_split_branches, split_branches, (branch, out, matrices, numbers, rotation, weight)),
        "join branches": (naive_join_branches, join_branches, (out, matrices, numbers)),
    }
    times: dict[str, dict[str, float]] = {}
    with torch.inference_mode():
        for name, (plain, fused, inputs) in calls.items():
            times[name] = {"unfused": _milliseconds(plain, inputs, device)}
            if uses_triton(device):
                times[name]["fused"] = _milliseconds(fused, inputs, device)
    return times


def _milliseconds(function: Callable[..., object], inputs: tuple[object, ...], device: torch.device) -> float:
    """Return the median time of a call after one that does not count."""
    taken = []
    for _ in range(_RUNS + 1):
        began = time.perf_counter()
        function(*inputs)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(1000.0 * (time.perf_counter() - began))
    return float(np.round(median(taken[1:]), 4))
