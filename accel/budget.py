"""How many latents the recent window and the retrieved ones may hold."""

from __future__ import annotations

from li_env.accel.config import AccelConfig
from li_env.accel.world_spec import WorldSpec


def memory_latents(spec: WorldSpec, config: AccelConfig) -> int:
    """Most latents that may be retrieved beside the recent window."""
    if config.memory_groups is None:
        return spec.context_latents - spec.temporal_latents
    return min(config.memory_groups * spec.memory_group, spec.context_latents - most_recent_latents(spec, config))


def threshold(value: float | None, spec: WorldSpec) -> float:
    """A threshold of the settings; None stands for the world's own."""
    return spec.view_threshold if value is None else value


def most_recent_latents(spec: WorldSpec, config: AccelConfig) -> int:
    """Most latents that the recent window may hold."""
    if config.window_chunks is None:
        return spec.temporal_latents
    return min(spec.temporal_latents, config.window_chunks * spec.chunk_latents)
