"""How much work a chunk gets: denoising schedules and kinds of attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from li_env.accel.plan import Regime
from li_env.accel.world_spec import WorldSpec


class DenoisingPolicy(Protocol):
    """Chooses the noise levels to run."""

    def choose(self, regime: Regime) -> tuple[tuple[float, ...], str]:
        """(noise levels, why in words; empty if there is nothing to say)."""
        ...


class FullSchedule:
    """All steps, always."""

    def __init__(self, spec: WorldSpec) -> None:
        self._sigmas = tuple(spec.sigmas)

    def choose(self, regime: Regime) -> tuple[tuple[float, ...], str]:
        """See `DenoisingPolicy.choose`."""
        return self._sigmas, ""


class ShortenedSchedule:
    """In a revisit only the first and the last step.

    The paper keeps all steps and reuses the first velocity between the two (docs/spec/light_interaction.md, section 2).
    Euler steps along one velocity add up to one step, so for worlds with an Euler sampler this is the same without any
    stored tensor; a world with another sampler simply runs the shorter schedule. With two steps or fewer there is
    nothing between.
    """

    def __init__(self, spec: WorldSpec) -> None:
        full = tuple(spec.sigmas)
        self._full, self._short = full, full if len(full) <= 3 else (full[0], full[-2], full[-1])
        self._reason = f"{len(self._short) - 1} of {len(full) - 1} denoising steps" if self._short != full else ""

    def choose(self, regime: Regime) -> tuple[tuple[float, ...], str]:
        """See `DenoisingPolicy.choose`."""
        return (self._short, self._reason) if regime == "revisit" else (self._full, "")


DENOISING_POLICIES: dict[str, Callable[[WorldSpec], DenoisingPolicy]] = {
    "full": FullSchedule,
    "shortened": ShortenedSchedule,
}
"""Policies by the name that `AccelConfig.denoising` uses."""
