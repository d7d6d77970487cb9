"""Denoising of one chunk, and of a micro-batch whose rows have different schedules."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import torch

from li_env.worlds.common.step_reuse import StepReuse
from li_env.worlds.common.tile_attention import SparseAttention
from li_env.worlds.freedoom.dynamics import Cameras

Schedule = tuple[float, ...]


class Denoiser(Protocol):
    """Model that `sample_chunk` calls, like `DynamicsModel.forward`, with the context of its own context pass."""

    def __call__(
        self,
        noisy: torch.Tensor,
        sigma: torch.Tensor,
        cameras: Cameras,
        context: Any,
        sparse: SparseAttention | None = None,
        reuse: StepReuse | None = None,
    ) -> torch.Tensor: ...


def sample_chunk(
    model: Denoiser,
    noise: torch.Tensor,
    known: torch.Tensor | None,
    sigmas: Sequence[float],
    cameras: Cameras,
    context: Any,
    sparse: SparseAttention | None = None,
    reuse: StepReuse | None = None,
) -> torch.Tensor:
    """Denoise in second-order steps along ``sigmas`` from pure noise, one model call each.

    Within a step the clean prediction is continued linearly in sigma from the last two calls (a multistep exponential
    integrator; the first step is an Euler step). Four such steps give what sixteen Euler steps give; four Euler steps
    leave unseen areas much softer.

    Args:
        noise: [B, T, n, C], standard normal.
        known: [B, 1, n, C], clean latent of the chunk's first frame (chunk 0 only), or None.
        sigmas: decreasing noise levels, the last one 0.
        context: what the model's context pass gave, or None.
        sparse: what ``context`` was made with, or None for dense attention.
        reuse: which of the model calls run their blocks; None for all.

    Returns:
        Clean latents [B, T, n, C].
    """
    x = noise
    levels = torch.ones(noise.shape[:2], device=noise.device)
    if known is not None:
        levels[:, 0] = 0
    before: tuple[float, torch.Tensor] | None = None
    hook = () if reuse is None else (reuse,)  # a model that cannot reuse steps need not take it
    for sigma, following in pairwise(sigmas):
        if known is not None:
            x = torch.cat((known, x[:, 1:]), dim=1)
        clean = model(x, levels * sigma, cameras, context, sparse, *hook).to(x.dtype)
        middle = clean
        if before is not None:
            # The prediction halfway through the step, continued from the call before.
            middle = clean + (clean - before[1]) * (0.5 * (sigma - following) / (before[0] - sigma))
        before = (sigma, clean)
        # v = (x - middle) / sigma; x + v (following - sigma) written so that following = 0 gives exactly ``middle``.
        x = middle + (x - middle) * (following / sigma)
    if known is not None:
        x = torch.cat((known, x[:, 1:]), dim=1)
    return x


def is_part(short: Schedule, long: Schedule) -> bool:
    """Return whether ``short`` begins like ``long`` and all its noise levels are among those of ``long``."""
    return short[0] == long[0] and set(short) <= set(long)


def row_steps(schedules: Sequence[Schedule], longest: Schedule) -> np.ndarray:
    """Make the table of each row's action at every model call of ``longest``: float32 [rows, calls, 3].

    The three numbers are whether the row takes part (0 or 1), how much of the change since its call before it adds,
    and the share of the noise that is left after the step. Every schedule is part (`is_part`) of the longest.
    """
    table = np.zeros((len(schedules), len(longest) - 1, 3), dtype=np.float32)
    for row, schedule in enumerate(schedules):
        before: float | None = None
        for sigma, following in pairwise(schedule):
            more = 0.0 if before is None else 0.5 * (sigma - following) / (before - sigma)
            table[row, longest.index(sigma)] = 1.0, more, following / sigma
            before = sigma
    return table


def sample_rows(
    model: Denoiser,
    noise: torch.Tensor,
    sigmas: Schedule,
    steps: torch.Tensor,
    cameras: Cameras,
    context: Any,
    sparse: SparseAttention | None = None,
) -> torch.Tensor:
    """Sample a batch whose rows have different schedules; rows that skip a step ignore its result.

    Each row gets the same bits as from `sample_chunk` with its schedule.

    Args:
        noise: [B, T, n, C], standard normal.
        sigmas: the longest schedule; its model calls are made for all rows.
        steps: [B, calls, 3] float32, a table made by `row_steps`.
        cameras, context, sparse: as in `sample_chunk`.

    Returns:
        Clean latents [B, T, n, C].
    """
    x, before = noise, noise
    levels = torch.ones(noise.shape[:2], device=noise.device)
    for call, sigma in enumerate(sigmas[:-1]):
        active, more, left = steps[:, call, :, None, None, None].unbind(1)
        clean = model(x, levels * sigma, cameras, context, sparse).to(x.dtype)
        middle = clean if call == 0 else clean + _scaled(clean - before, more)
        x = torch.where(active > 0, middle + _scaled(x - middle, left), x)
        before = torch.where(active > 0, clean, before)
    return x


def _scaled(values: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Multiply and round once, like a product with a plain number."""
    return (values.float() * factors).to(values.dtype)
