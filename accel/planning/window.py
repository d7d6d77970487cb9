"""Window policies: a recent window of fixed length, or a window that follows the latent change.

Source: docs/spec/light_interaction.md, section 1 (equations 1 to 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from li_env.accel.budget import most_recent_latents
from li_env.accel.config import AccelConfig
from li_env.accel.world_spec import WorldSpec


class WindowPolicy(Protocol):
    """Policy that chooses the length of the recent window."""

    def latents(self, latent_change: float | None) -> int:
        """Return the most latents in the window; ``latent_change`` is smoothed, None if not known yet."""
        ...

    def reason(self, latent_change: float | None) -> str:
        """Return the reason in words, empty without one."""
        ...


class FixedWindow:
    """Window of a fixed number of chunks, by default all latents that the world's window takes."""

    def __init__(self, spec: WorldSpec, config: AccelConfig) -> None:
        self._latents = most_recent_latents(spec, config)

    def latents(self, latent_change: float | None) -> int:
        return self._latents

    def reason(self, latent_change: float | None) -> str:
        return ""


class AdaptiveWindow:
    """Window of L = clip(round(L_m kappa / (D + kappa)), 1, L_m) chunks, D being the smoothed latent change.

    The paper prints the rounding around the quotient alone, which leaves only the whole window or a single chunk. Its
    text describes a window that shrinks step by step, as here. Where neither the settings nor the world know kappa, the
    window stays whole.
    """

    def __init__(self, spec: WorldSpec, config: AccelConfig) -> None:
        self._spec = spec
        self._kappa = spec.window_kappa if config.window_kappa is None else config.window_kappa
        most = max(1, spec.temporal_latents // spec.chunk_latents)
        self._chunks = most if config.window_chunks is None else min(most, config.window_chunks)

    def chunks(self, latent_change: float | None) -> int:
        """Return the length of the window in chunks."""
        if latent_change is None or self._kappa is None:
            return self._chunks
        return min(self._chunks, max(1, round(self._chunks * self._kappa / (latent_change + self._kappa))))

    def latents(self, latent_change: float | None) -> int:
        return min(self._spec.temporal_latents, self.chunks(latent_change) * self._spec.chunk_latents)

    def reason(self, latent_change: float | None) -> str:
        if self._chunks == 1:
            return "the window is never longer than one chunk"
        if self._kappa is None:
            return (
                "the window is whole, because window_kappa of this world is not known "
                f"(li-env calibrate window --world {self._spec.name})"
            )
        if latent_change is None:
            return "no change of latents is known yet, so the window is whole"
        chunks = self.chunks(latent_change)
        return f"latents change by {latent_change:.3g}, so the window is {chunks} of {self._chunks} chunks"


WINDOW_POLICIES: dict[str, Callable[[WorldSpec, AccelConfig], WindowPolicy]] = {
    "fixed": FixedWindow,
    "adaptive": AdaptiveWindow,
}
"""Policies by the name that `AccelConfig.window` uses."""
