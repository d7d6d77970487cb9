"""The sampler: UniPC of order 2 for flow models, for any decreasing noise levels.

Source: docs/spec/matrix_game_3.md, section 7.

A step predicts the next latents from the clean ones estimated so far; once the model has been asked there,
the step before is corrected with the new estimate. The last step gives the clean estimate itself. Two steps are
Euler's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch

SHIFT = 5.0
"""Shift of the noise levels towards noise."""

_MOST_NOISE = 0.9990000128746033  # 0.999 in float32


def noise_levels(steps: int) -> tuple[float, ...]:
    """Return the full schedule: ``steps`` levels evenly from 0.999 towards 0, shifted, then 0; float32 values.

    Raises:
        ValueError: fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"steps={steps}: allowed is 1 or more")
    even = torch.linspace(_MOST_NOISE, 0.0, steps + 1, dtype=torch.float64)[:-1]
    shifted = (SHIFT * even / (1 + (SHIFT - 1) * even)).float()
    return (*shifted.tolist(), 0.0)


def timestep_of(sigma: float, dtype: torch.dtype) -> float:
    """Return the model's timestep: a whole number, rounded to the type of the latents as in the original."""
    return float(torch.tensor(float(int(1000 * sigma)), dtype=dtype))


def sample(
    velocity: Callable[[torch.Tensor, float], torch.Tensor],
    x: torch.Tensor,
    sigmas: Sequence[float],
) -> torch.Tensor:
    """Denoise ``x``.

    Args:
        velocity: velocity float32 at (latents, noise level); called once per level above 0.
        x: latents at noise level ``sigmas[0]``, of any float type, which they keep from step to step.
        sigmas: decreasing, the last one 0.
    """
    estimates: list[torch.Tensor] = []  # of the clean latents, the newest last; three are ever looked at
    begin = x
    for index, (sigma, following) in enumerate(pairwise(sigmas)):
        estimates = [*estimates[-2:], x.float() - sigma * velocity(x, sigma)]
        if following == 0.0:
            return estimates[-1].to(x.dtype)
        if index:
            x = _step(begin, estimates[:-1], estimates[-1], sigmas[: index + 1]).to(x.dtype)
        begin = x
        x = _step(begin, estimates, None, sigmas[: index + 2]).to(x.dtype)
    return x


def _step(
    begin: torch.Tensor, estimates: Sequence[torch.Tensor], reached: torch.Tensor | None, sigmas: Sequence[float]
) -> torch.Tensor:
    """Return the latents at the last of ``sigmas``, from ``begin`` at the last but one.

    ``estimates`` are those at the beginning and before it (the newest last); ``reached`` is the one at the end, if it
    is known already: that is the corrector.
    """
    now, target = sigmas[-2], sigmas[-1]
    step = _log_ratio(target) - _log_ratio(now)
    weight = -(1 - target) * math.expm1(-step)
    newest = estimates[-1]
    drift: torch.Tensor | float = 0.0
    if len(estimates) > 1 and len(sigmas) > 2:
        ratio = (_log_ratio(sigmas[-3]) - _log_ratio(now)) / step
        slope = (estimates[-2] - newest) / ratio
        if reached is None:
            drift = 0.5 * slope
        else:
            first, last = _corrector_weights(step, ratio)
            drift = first * slope + last * (reached - newest)
    elif reached is not None:
        drift = 0.5 * (reached - newest)
    return (target / now) * begin.float() + weight * (newest + drift)


def _corrector_weights(step: float, ratio: float) -> tuple[float, float]:
    """Return the weights of the slope from the step before and of the new one, exact for quadratic curves."""
    phi = math.expm1(-step)
    one = -phi / step - 1
    two = -one / step - 0.5
    one, two = one / phi, 2 * two / phi
    first = (two - one) / (ratio - 1)
    return first, one - first


def _log_ratio(sigma: float) -> float:
    """Return the logarithm of the ratio of signal to noise, in which the sampler's steps are measured."""
    return math.log(1 - sigma) - math.log(sigma)
