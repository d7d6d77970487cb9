"""Checks of single answers of a world: kind, number, shape, type, device, range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NoReturn

import numpy as np
import torch

from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.world import BaseWorld, check_world_type
from li_env.accel.world_spec import WorldSpec
from li_env.validation import check_pose


def refuse(world: Any, what: str) -> NoReturn:
    """Raise the ``ValueError`` that names a world and its fault."""
    spec = world.spec if hasattr(world, "spec") else None
    name = spec.name if isinstance(spec, WorldSpec) else type(world).__name__
    raise ValueError(f"world {name!r}: {what}")


def shown(value: Any) -> str:
    """Describe a value in at most 80 characters: the type and shape of arrays, the text of others."""
    if isinstance(value, np.ndarray | torch.Tensor):
        where = f" on {value.device}" if isinstance(value, torch.Tensor) else ""
        return f"{type(value).__name__} {str(value.dtype).removeprefix('torch.')} {list(value.shape)}{where}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def check_parts(world: Any) -> None:
    """Check that a world inherits from `BaseWorld` and has a spec and a device."""
    check_world_type(world)
    spec = world.spec if hasattr(world, "spec") else None
    if not isinstance(spec, WorldSpec):
        refuse(world, f"spec={shown(spec)}; allowed: a WorldSpec")
    device = world.device if hasattr(world, "device") else None
    if not isinstance(device, torch.device):
        refuse(world, f"device={shown(device)}; allowed: a torch.device")


def check_spec(world: BaseWorld) -> None:
    """Check the numbers of a world's spec."""
    spec = world.spec
    least = {
        **dict.fromkeys(("chunk_latents", "first_chunk_latents", "latent_frames", "temporal_latents"), 1),
        **dict.fromkeys(("context_latents", "memory_group", "sparse_min_context"), 1),
        **dict.fromkeys(("fewest_memory_groups", "sink_latents"), 0),
    }
    for key, bound in least.items():
        value = getattr(spec, key)
        if isinstance(value, bool) or not isinstance(value, int) or value < bound:
            refuse(world, f"spec.{key}={shown(value)}; allowed: a whole number from {bound} up")
    if spec.temporal_latents > spec.context_latents:
        refuse(world, f"spec.temporal_latents={spec.temporal_latents}; allowed: up to context_latents")
    for key, count in (("frame_size", 2), ("latent_shape", 3), ("token_grid", 2), ("tile_shape", 3)):
        sizes = getattr(spec, key)
        whole = isinstance(sizes, tuple) and all(isinstance(size, int) and size >= 1 for size in sizes)
        if not whole or len(sizes) != count:
            refuse(world, f"spec.{key}={shown(sizes)}; allowed: a tuple of {count} whole numbers from 1 up")
    for key, number in (
        *(("fps", spec.fps), ("view_distance", spec.view_distance), ("focal[0]", spec.focal[0])),
        *(("focal[1]", spec.focal[1]), ("motion.translation", spec.motion.translation)),
        ("motion.rotation", spec.motion.rotation),
    ):
        if not (np.isfinite(number) and number > 0):
            refuse(world, f"spec.{key}={shown(number)}; allowed: a finite number above 0")
    sigmas = spec.sigmas
    if len(sigmas) < 2 or sigmas[-1] != 0 or any(a <= b for a, b in pairwise(sigmas)):
        refuse(world, f"spec.sigmas={shown(sigmas)}; allowed: two or more numbers, decreasing, the last one 0")


def check_starts(world: BaseWorld) -> None:
    """Check start frames, their poses and their prompts."""
    views = world.start_views
    array = np.asarray(views.images[0]) if len(views) else None
    if array is not None and (array.dtype != np.uint8 or array.ndim != 3 or array.shape[-1] != 3):
        refuse(world, f"start_views.images[0]: {shown(array)}; allowed: uint8 [height, width, 3]")
    for key, values in (("start_views.poses", views.poses), ("start_views.prompts", views.prompts)):
        if values is None:
            continue
        if len(values) != len(views):
            refuse(world, f"{key}: {len(values)} for {len(views)} start frames; allowed: one each")
        for index, value in enumerate(values):
            if values is views.prompts and not isinstance(value, str):
                refuse(world, f"{key}[{index}]={shown(value)}; allowed: a text")
            if values is views.poses:
                try:
                    check_pose(f"{key}[{index}]", value)
                except ValueError as error:
                    refuse(world, str(error))


def check_count(world: BaseWorld, method: str, answers: Any, count: int) -> None:
    """Check that a method answered with one entry per request."""
    if not isinstance(answers, Sequence) or len(answers) != count:
        found = len(answers) if isinstance(answers, Sequence) else shown(answers)
        refuse(world, f"{method} returned {found} for {count} episodes; allowed: a list with one entry per episode")


def check_motions(world: BaseWorld, asked: Sequence[CameraMotion], answer: Any) -> None:
    """Check what `BaseWorld.feasible_motions` says about one episode."""
    if not isinstance(answer, tuple) or not all(isinstance(motion, CameraMotion) for motion in answer):
        refuse(world, f"feasible_motions: {shown(answer)}; allowed: a tuple of CameraMotion per episode")
    if len(answer) != len(asked):
        refuse(world, f"feasible_motions: {len(answer)} motions for {len(asked)}; allowed: as many as were asked for")
    if not all(motion.is_finite() for motion in answer):
        refuse(world, f"feasible_motions: {shown(answer)}; allowed: finite numbers")


def check_latents(world: BaseWorld, count: int, answer: Any) -> None:
    """Check what `BaseWorld.generate` made for one episode: ``count`` latents."""
    shape = (count, *world.spec.latent_shape)
    allowed = f"allowed: a floating-point tensor {list(shape)} on {world.device}"
    if not isinstance(answer, torch.Tensor) or not answer.is_floating_point() or tuple(answer.shape) != shape:
        refuse(world, f"generate: {shown(answer)}; {allowed}")
    if not _same_device(answer.device, world.device):
        refuse(world, f"generate: {shown(answer)}; {allowed}")
    if not bool(torch.isfinite(answer).all()):
        refuse(world, "generate: latents with NaN or infinity; allowed: finite numbers")


def check_frames(world: BaseWorld, method: str, chunk: int, count: int, answer: Any) -> None:
    """Check the frames of one episode's chunk of ``count`` latents: an array, or a tensor on the world's device."""
    spec = world.spec
    length = count * spec.latent_frames - (spec.latent_frames - 1 if chunk == 0 else 0)
    shape = (length, *spec.frame_size, 3)
    on_device = method == "decode_on_device"
    kind: Callable[[Any], bool] = torch.is_tensor if on_device else lambda value: isinstance(value, np.ndarray)
    right = kind(answer) and answer.dtype == (torch.uint8 if on_device else np.uint8) and tuple(answer.shape) == shape
    if not right or (on_device and not _same_device(answer.device, world.device)):
        what = f"tensor on {world.device}" if on_device else "array"
        refuse(world, f"{method}: chunk {chunk} gave {shown(answer)}; allowed: a uint8 {what} {list(shape)}")


def _same_device(one: torch.device, other: torch.device) -> bool:
    """Compare devices where ``cuda`` without a number is the current one."""
    return one.type == other.type and (one.index or 0) == (other.index or 0)
