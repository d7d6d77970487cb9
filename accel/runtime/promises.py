"""Checks in every chunk of what a world promises in `li_env.accel.world`: shapes, types, devices.

A world that breaks its promise is refused at once, before wrong numbers can look like frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """Refuse latents that are not one float tensor [counts[i], C, h, w] per episode on the world's device.

    Raises:
        ValueError: names the world, what it made and what it promised.
    """

    def right(chunk: Any) -> bool:
        return torch.is_tensor(chunk) and chunk.is_floating_point() and chunk.device.type == world.device.type

    shapes = [(count, *world.spec.latent_shape) for count in counts]
    _check_made(world, "generate", "tensors of latents", made, shapes, right, f"a float tensor {{}} on {world.device}")


def check_all_read(world: BaseWorld, requests: PlannedRequests) -> None:
    """Refuse a world that answered before it had seen every request.

    Raises:
        ValueError: names the world and how many requests it left.
    """
    read = len(requests.chunks)
    if read != len(requests):
        raise ValueError(f"world {world.spec.name!r}: generate_stream() read {read} of {len(requests)} requests")


def check_frames(world: BaseWorld, made: Sequence[Any], counts: Sequence[int]) -> None:
    """Refuse frames that are not uint8 [counts[i], H, W, 3] per episode, an array or a tensor.

    Raises:
        ValueError: names the world, what it decoded and what it promised.
    """

    def right(part: Any) -> bool:
        return isinstance(part, np.ndarray | torch.Tensor) and part.dtype in (np.uint8, torch.uint8)

    shapes = [(count, *world.spec.frame_size, 3) for count in counts]
    _check_made(world, "decode", "arrays of frames", made, shapes, right, "uint8 {}")


def _check_made(
    world: BaseWorld,
    method: str,
    what: str,
    made: Sequence[Any],
    shapes: Sequence[tuple[int, ...]],
    right: Callable[[Any], bool],
    promised: str,
) -> None:
    """Refuse another number of results than ``shapes``, a result of another shape, or one that is not ``right``."""
    if len(made) != len(shapes):
        raise ValueError(f"world {world.spec.name!r}: {method}() made {len(made)} {what} for {len(shapes)} episodes")
    for each, shape in zip(made, shapes, strict=True):
        if not right(each) or tuple(each.shape) != shape:
            allowed = promised.format(list(shape))
            raise ValueError(f"world {world.spec.name!r}: {method}() made {_say(each)}; promised: {allowed}")


def _say(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} {list(value.shape)} on {value.device}"
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
