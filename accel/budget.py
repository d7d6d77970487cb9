"""Budgets: most latents in the recent window, and most retrieved latents."""

from __future__ import annotations

import numpy as np

from li_env.accel.config import AccelConfig
from li_env.accel.world_spec import WorldSpec


def memory_latents(spec: WorldSpec, config: AccelConfig) -> int:
    """Return how many latents may be retrieved beside the recent window, at most."""
    if config.memory_groups is None:
        return spec.context_latents - spec.temporal_latents
    return min(config.memory_groups * spec.memory_group, spec.context_latents - most_recent_latents(spec, config))


def threshold(value: float | None, spec: WorldSpec) -> float:
    """Return a threshold of the settings; None stands for the world's own."""
    return spec.view_threshold if value is None else value


def most_recent_latents(spec: WorldSpec, config: AccelConfig) -> int:
    """Return how many latents the recent window may hold, at most."""
    if config.window_chunks is None:
        return spec.temporal_latents
    return min(spec.temporal_latents, config.window_chunks * spec.chunk_latents)


def sink_latents(spec: WorldSpec, config: AccelConfig) -> tuple[int, ...]:
    """Return the latents of an episode's first keyframe group that ``coverage`` always retrieves, evenly spread."""
    wanted = spec.sink_latents if config.memory_sink is None else config.memory_sink
    return spread_over_group(spec, min(wanted, memory_latents(spec, config)))


def spread_over_group(spec: WorldSpec, count: int | None) -> tuple[int, ...]:
    """Return the places of ``count`` latents in a keyframe group, evenly spread; None stands for the whole group."""
    size = spec.memory_group
    count = size if count is None else min(count, size)
    return tuple(round(place) for place in np.linspace(0, size - 1, count).tolist())
