"""Crossover of block-sparse attention on a device: the context length from which it is faster than dense attention.

One chunk is generated with contexts of growing length, dense and block-sparse attention taking turns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from li_env.accel.config import AccelConfig
from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.plan import AttentionPlan, ChunkPlan
from li_env.accel.runtime.chunk import GenerationState
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import BaseWorld
from li_env.accel.world_spec import WorldSpec


@dataclass(frozen=True)
class Crossover:
    """Times of one chunk in milliseconds, [contexts, repeats], dense and block-sparse."""

    contexts: tuple[int, ...]
    dense: np.ndarray
    sparse: np.ndarray

    @property
    def least(self) -> int:
        """Context latents from which block-sparse attention is faster at the median, at every length that follows.

        One more than the longest context where it never is.
        """
        pays = np.median(self.sparse, axis=1) < np.median(self.dense, axis=1)
        found = self.contexts[-1] + 1
        for length, faster in zip(reversed(self.contexts), reversed(pays.tolist()), strict=True):
            if not faster:
                break
            found = length
        return found


def lengths(spec: WorldSpec) -> tuple[int, ...]:
    """Return the context lengths that are timed: whole keyframe groups up to the budget, eight at most."""
    groups = spec.context_latents // spec.memory_group
    chosen = np.unique(np.linspace(1, groups, min(groups, 8)).round().astype(int))
    return tuple(int(group) * spec.memory_group for group in chosen)


def measure_crossover(
    world: BaseWorld,
    preset: str = "sparse",
    repeats: int = 5,
    batch: int = 1,
    on_chunk: Callable[[], None] = lambda: None,
) -> Crossover:
    """Time dense and block-sparse attention on the device of the world.

    Args:
        world: the world.
        preset: preset with block-sparse attention, whose ratios are timed.
        repeats: how often each is timed; one more goes first and does not count.
        batch: episodes that step together.
        on_chunk: called after every chunk.

    Raises:
        ValueError: the world has no block-sparse attention or no start frames, or the preset's attention is another.
    """
    spec, config = world.spec, AccelConfig.of(preset).in_world(world.spec.name)
    if not spec.supports_block_sparse:
        raise ValueError(f"world={spec.name!r} has no block-sparse attention, so there is nothing to compare")
    if config.attention != "block_sparse":
        raise ValueError(f"preset={config.name!r} has attention {config.attention!r}; use one with block_sparse")
    sparse = AttentionPlan("block_sparse", config.decode_ratio, config.context_ratio, config.dense_first_block)
    engine, states, motions = _walked(world, batch, on_chunk)
    contexts = lengths(spec)
    times = np.zeros((2, len(contexts), repeats + 1))
    for turn in range(repeats + 1):
        for row, length in enumerate(contexts):
            for kind, attention in enumerate((AttentionPlan(), sparse)):
                plans = [_plan(spec, state, length, attention) for state in states]
                _, results = engine.step(states, motions, plans)
                times[kind, row, turn] = sum(result.milliseconds["generate"] for result in results)
                on_chunk()
    return Crossover(contexts, times[0, :, 1:], times[1, :, 1:])


def _walked(
    world: BaseWorld, batch: int, on_chunk: Callable[[], None]
) -> tuple[Engine, Sequence[GenerationState], list[tuple[CameraMotion, ...]]]:
    """Return episodes whose history fills the context, and the motions of their next chunk."""
    spec = world.spec
    if not len(world.start_views):
        raise ValueError(f"world={spec.name!r} has no start frames to begin with; use a world that has some")
    engine = Engine(world, AccelConfig.preset("off"), batch=batch)
    image = world.start_views.images[0]
    states: Sequence[GenerationState] = engine.start([image] * batch, [""] * batch, list(range(batch)))
    turn = CameraMotion(yaw=spec.motion.rotation)
    while len(states[0].history) < spec.context_latents:
        states, _ = engine.step(states, [(turn,) * spec.new_latents(states[0].chunk)] * batch)
        on_chunk()
    return engine, states, [(turn,) * spec.new_latents(states[0].chunk)] * batch


def _plan(spec: WorldSpec, state: GenerationState, context: int, attention: AttentionPlan) -> ChunkPlan:
    """Plan a chunk over the newest ``context`` latents: the recent window, and behind it retrieved ones."""
    end = len(state.history)
    window = min(context, spec.temporal_latents)
    memory = tuple(range(end - context, end - window))
    temporal = tuple(range(end - window, end))
    return ChunkPlan(state.chunk, "explore", 0.0, temporal, memory, spec.sigmas, attention, "Timing.")
