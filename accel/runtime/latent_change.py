"""Checks of finished latents: whether latents are finite, and the latent change.

The latent change drives the adaptive window. Source: docs/spec/light_interaction.md, section 1 (equations 1 and 2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch


def examine(
    latents: Sequence[torch.Tensor], before: Sequence[torch.Tensor | None]
) -> tuple[list[bool], list[float | None]]:
    """Return whether chunks [n, C, h, w] are finite, and their mean squared difference to the chunks ``before``.

    If two chunks have different lengths, their last latents are compared. The difference is None without a chunk
    before, or if the difference is not finite. The device is read once for the whole batch, not once per episode.
    """
    if not latents:
        return [], []
    pairs = [(new, old) for new, old in zip(latents, before, strict=True) if old is not None]
    shared = [min(new.shape[0], old.shape[0]) for new, old in pairs]
    measured = [torch.cat(tuple(latents)).flatten(1).isfinite().all(dim=1).double()]
    if pairs:
        newest, oldest = (
            torch.cat([_last(pair[side], size) for pair, size in zip(pairs, shared, strict=True)]).float()
            for side in (0, 1)
        )
        measured.append(_means((newest - oldest).square().flatten(1)).double())
    numbers = torch.cat(measured).tolist()
    finite, start = [], 0
    for chunk in latents:
        size = chunk.shape[0]
        finite.append(sum(numbers[start : start + size]) == size)
        start += size
    changes: list[float | None] = []
    sizes = iter(shared)
    for old in before:
        if old is None:
            changes.append(None)
            continue
        size = next(sizes)
        change = sum(numbers[start : start + size]) / size
        start += size
        changes.append(change if math.isfinite(change) else None)
    return finite, changes


def _last(latents: torch.Tensor, size: int) -> torch.Tensor:
    return latents if latents.shape[0] == size else latents[-size:]


def _means(rows: torch.Tensor) -> torch.Tensor:
    """Return the mean of each row [n, k], added up in an order that k alone decides.

    `torch.mean` chooses an order by the number of rows as well, so an episode's mean would depend on its batch.
    """
    width = rows.shape[1]
    while rows.shape[1] > 1:
        half = rows.shape[1] // 2
        rows = torch.cat((rows[:, :half] + rows[:, half : 2 * half], rows[:, 2 * half :]), dim=1)
    return rows[:, 0] / width


def smoothed(previous: float | None, newest: float | None, weight: float) -> float | None:
    """Update an exponential moving average that starts with its first value; None stands for no value."""
    if previous is None or newest is None:
        return previous if newest is None else newest
    return weight * newest + (1.0 - weight) * previous
