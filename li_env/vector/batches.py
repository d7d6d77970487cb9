"""Observations of several environments as one batch, as arrays on the host or as tensors on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector.utils import concatenate, create_empty_array

from li_env.accel.device import on_device

Parts = Any
"""Observations of B episodes: a sequence of B arrays, or of tensors, or a dictionary of such sequences."""


def batch_arrays(space: spaces.Space[Any], parts: Parts) -> Any:
    """Stack observations of ``space`` along a new first axis: new arrays, in the structure of the space."""
    if isinstance(space, spaces.Dict):
        return {key: batch_arrays(own, parts[key]) for key, own in space.spaces.items()}
    empty: Any = create_empty_array(space, n=len(parts), fn=np.empty)
    return concatenate(space, parts, empty)


@torch.inference_mode(False)  # ordinary tensors, even if the agent computes in inference mode
def batch_tensors(parts: Parts, device: torch.device) -> Any:
    """Stack observations as tensors on ``device``; tensors that are already there never visit the host."""
    if isinstance(parts, dict):
        return {key: batch_tensors(own, device) for key, own in parts.items()}
    if any(isinstance(item, torch.Tensor) for item in parts):
        return torch.stack([on_device(item, device) for item in parts])
    return torch.from_numpy(np.stack(parts)).to(device)


def observation_on_device(item: Any, device: torch.device) -> Any:
    """Return one observation, or a dictionary of them, as tensors on ``device``."""
    if isinstance(item, dict):
        return {key: observation_on_device(value, device) for key, value in item.items()}
    return on_device(item, device)
