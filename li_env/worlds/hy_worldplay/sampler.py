"""Noise levels and Euler steps of the distilled model.

Source: docs/spec/hy_worldplay.md, sections 1.2, 4.1 and 4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch

SHIFT = 5.0
CONTEXT_TIME = 14.0
"""Timestep that finished latents are labelled with when they become context; no noise is added to them."""


def noise_levels(steps: int, shift: float = SHIFT) -> tuple[float, ...]:
    """Return ``steps + 1`` noise levels from 1 to 0, float32 values."""
    even = torch.linspace(1.0, 0.0, steps + 1)
    return tuple((shift * even / (1.0 + (shift - 1.0) * even)).tolist())


def timestep(sigma: float) -> float:
    """Return the timestep (0 to 1000, a float32 value) of a noise level."""
    return float(torch.tensor(sigma, dtype=torch.float32) * 1000.0)


def euler(
    velocity: Callable[[torch.Tensor, float], torch.Tensor], noise: torch.Tensor, sigmas: Sequence[float]
) -> torch.Tensor:
    """Follow ``velocity(x, timestep)`` from ``noise`` along decreasing ``sigmas``; float32 throughout.

    Fewer levels than the full schedule are longer steps: leaving out those between the first and the last step is the
    same as using the first velocity for all of them.
    """
    x = noise.float()
    for sigma, following in pairwise(sigmas):
        x = x + velocity(x, timestep(sigma)).float() * (following - sigma)
    return x
