"""Denoising policies: all denoising steps, or fewer in revisits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from li_env.accel.plan import Regime
from li_env.accel.world_spec import WorldSpec


class DenoisingPolicy(Protocol):
    """Policy that chooses the noise levels to run."""

    def choose(self, regime: Regime) -> tuple[tuple[float, ...], str]:
        """Return the noise levels, and the reason in words, empty without one."""
        ...


class FullSchedule:
    """Policy of all denoising steps in every chunk."""

    def __init__(self, spec: WorldSpec) -> None:
        self._sigmas = tuple(spec.sigmas)

    def choose(self, regime: Regime) -> tuple[tuple[float, ...], str]:
        return self._sigmas, ""


class ShortenedSchedule:
    """Policy of only the first and the last denoising step in revisits.

    The paper keeps all steps and reuses the first velocity between these two (docs/spec/light_interaction.md, section
    2). Euler steps along one velocity add up to one step, so for worlds with an Euler sampler the result is the same
    without a stored tensor. A world with another sampler runs the shorter schedule. A schedule of two steps or fewer
    stays whole.
    """

    def __init__(self, spec: WorldSpec) -> None:
        full = tuple(spec.sigmas)
        self._full, self._short = full, full if len(full) <= 3 else (full[0], full[-2], full[-1])
        self._reason = f"{len(self._short) - 1} of {len(full) - 1} denoising steps" if self._short != full else ""

    def choose(self, regime: Regime) -> tuple[tuple[float, ...], str]:
        return (self._short, self._reason) if regime == "revisit" else (self._full, "")


DENOISING_POLICIES: dict[str, Callable[[WorldSpec], DenoisingPolicy]] = {
    "full": FullSchedule,
    "shortened": ShortenedSchedule,
}
"""Policies by the name that `AccelConfig.denoising` uses."""
