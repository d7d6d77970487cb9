"""Denoising policies: all denoising steps, or fewer in revisits, or fewer while exploring too."""

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


class RegimeSchedules:
    """Policy of the world's own shorter schedules: one while exploring, one in revisits.

    `WorldSpec.explore_sigmas` and `WorldSpec.revisit_sigmas` name them. Without them a world runs `ShortenedSchedule`.

    Raises:
        ValueError: a schedule of the world is no part of its full one, from the first level to the last.
    """

    def __init__(self, spec: WorldSpec) -> None:
        shortened = ShortenedSchedule(spec)
        self._full, _ = shortened.choose("warmup")
        self._schedules: dict[Regime, tuple[float, ...]] = {
            "warmup": self._full,
            "explore": self._own("explore_sigmas", spec.explore_sigmas) or self._full,
            "revisit": self._own("revisit_sigmas", spec.revisit_sigmas) or shortened.choose("revisit")[0],
        }

    def choose(self, regime: Regime) -> tuple[tuple[float, ...], str]:
        sigmas = self._schedules[regime]
        return sigmas, "" if sigmas == self._full else f"{len(sigmas) - 1} of {len(self._full) - 1} denoising steps"

    def _own(self, key: str, sigmas: tuple[float, ...]) -> tuple[float, ...]:
        # Part of the full schedule, so that episodes of both regimes can share a model call.
        part = tuple(sigma for sigma in self._full if sigma in sigmas)
        if sigmas and (sigmas != part or not {self._full[0], self._full[-1]} <= set(sigmas)):
            raise ValueError(f"{key}: {sigmas} is not allowed; use levels of {self._full}, the first and the last too")
        return sigmas


DENOISING_POLICIES: dict[str, Callable[[WorldSpec], DenoisingPolicy]] = {
    "full": FullSchedule,
    "shortened": ShortenedSchedule,
    "per_regime": RegimeSchedules,
}
"""Policies by the name that `AccelConfig.denoising` uses."""
