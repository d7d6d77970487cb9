"""Checks in every chunk of what a world promises in `li_env.accel.world`: shapes, types, devices.

A world that breaks its promise is refused at once, before wrong numbers can look like frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from li_env.accel.runtime.requests import PlannedRequests
from li_env.accel.world import BaseWorld


def check_device(world: BaseWorld) -> None:
    """Refuse a world whose ``device`` is not a `torch.device`.

    Raises:
        ValueError: names the world, its device and what is allowed.
    """
    if not isinstance(world.device, torch.device):
        given = f"{repr(world.device)[:80]} ({type(world.device).__name__})"
        raise ValueError(f"world {world.spec.name!r}: device={given} is not allowed; allowed: a torch.device")


def check_latents(world: BaseWorld, made: Sequence[Any], counts: Sequence[int]) -> None:
    """Refuse latents that are not one tensor [counts[i], C, h, w] per episode on the world's device.

    Raises:
        ValueError: names the world, what it made and what it promised.
    """
    _check_number(world, "generate", "tensors of latents", made, counts)
    for chunk, count in zip(made, counts, strict=True):
        expected = (count, *world.spec.latent_shape)
        right = isinstance(chunk, torch.Tensor) and chunk.is_floating_point() and tuple(chunk.shape) == expected
        if not right or chunk.device.type != world.device.type:
            promised = f"a float tensor {list(expected)} on {world.device}"
            raise ValueError(f"world {world.spec.name!r}: generate() made {_say(chunk)}; promised: {promised}")


def check_all_read(world: BaseWorld, requests: PlannedRequests) -> None:
    """Refuse a world that answered before it had seen every request.

    Raises:
        ValueError: names the world and how many requests it left.
    """
    read = len(requests.chunks)
    if read != len(requests):
        raise ValueError(f"world {world.spec.name!r}: generate_stream() read {read} of {len(requests)} requests")


def check_frames(world: BaseWorld, frames: Sequence[Any], counts: Sequence[int]) -> None:
    """Refuse frames that are not uint8 [counts[i], H, W, 3] per episode, an array or a tensor.

    Raises:
        ValueError: names the world, what it decoded and what it promised.
    """
    _check_number(world, "decode", "arrays of frames", frames, counts)
    for part, count in zip(frames, counts, strict=True):
        expected = (count, *world.spec.frame_size, 3)
        dtype = part.dtype if isinstance(part, np.ndarray | torch.Tensor) else None
        if dtype not in (np.uint8, torch.uint8) or tuple(part.shape) != expected:
            promised = f"uint8 {list(expected)}"
            raise ValueError(
                f"world {world.spec.name!r}: decode() made {_say(part, frames=True)}; promised: {promised}"
            )


def _check_number(world: BaseWorld, method: str, what: str, made: Sequence[Any], counts: Sequence[int]) -> None:
    if len(made) != len(counts):
        raise ValueError(f"world {world.spec.name!r}: {method}() made {len(made)} {what} for {len(counts)} episodes")


def _say(value: Any, frames: bool = False) -> str:
    if isinstance(value, torch.Tensor) and frames:
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} {list(value.shape)} on {value.device}"
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
