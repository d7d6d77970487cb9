"""How many of the most recent latents join the context: a fixed window, or one that follows the latents' change.

Source: docs/spec/light_interaction.md, section 1 (equations 1 to 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from li_env.accel.budget import most_recent_latents
from li_env.accel.config import AccelConfig
from li_env.accel.world_spec import WorldSpec


class WindowPolicy(Protocol):
    """Chooses the length of the recent window."""

    def latents(self, dynamics: float | None) -> int:
        """Most latents in the window; ``dynamics`` is the smoothed change of the latents, None if not known yet."""
        ...

    def reason(self, dynamics: float | None) -> str:
        """Why, in words; empty if there is nothing to say."""
        ...


class FixedWindow:
    """Always the same number of chunks, by default all latents that the world's window takes."""

    def __init__(self, spec: WorldSpec, config: AccelConfig) -> None:
        self._latents = most_recent_latents(spec, config)

    def latents(self, dynamics: float | None) -> int:
        """See `WindowPolicy.latents`."""
        return self._latents

    def reason(self, dynamics: float | None) -> str:
        """See `WindowPolicy.reason`."""
        return ""


class AdaptiveWindow:
    """L = clip(round(L_m kappa / (D + kappa)), 1, L_m) chunks, D being the smoothed change between chunks.

    The paper prints the rounding around the quotient alone, which leaves only the whole window or a single chunk; the
    window that shrinks step by step is what its text describes.
    """

    def __init__(self, spec: WorldSpec, config: AccelConfig) -> None:
        self._spec, self._kappa = spec, config.window_kappa
        most = max(1, spec.temporal_latents // spec.chunk_latents)
        self._chunks = most if config.window_chunks is None else min(most, config.window_chunks)

    def chunks(self, dynamics: float | None) -> int:
        """Length of the window in chunks."""
        if dynamics is None:
            return self._chunks
        return min(self._chunks, max(1, round(self._chunks * self._kappa / (dynamics + self._kappa))))

    def latents(self, dynamics: float | None) -> int:
        """See `WindowPolicy.latents`."""
        return min(self._spec.temporal_latents, self.chunks(dynamics) * self._spec.chunk_latents)

    def reason(self, dynamics: float | None) -> str:
        """See `WindowPolicy.reason`."""
        if dynamics is None:
            return "no change of latents is known yet, so the window is whole"
        return f"latents change by {dynamics:.3g}, so the window is {self.chunks(dynamics)} of {self._chunks} chunks"


WINDOW_POLICIES: dict[str, Callable[[WorldSpec, AccelConfig], WindowPolicy]] = {
    "fixed": FixedWindow,
    "adaptive": AdaptiveWindow,
}
"""Policies by the name that `AccelConfig.window` uses."""
