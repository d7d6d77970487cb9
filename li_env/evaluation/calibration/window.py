"""Kappa of the adaptive window, from the latents of rollouts.

The window is half of the longest where the smoothed latent change equals kappa (docs/spec/light_interaction.md, section
1). Kappa is the median change that the plain model's own rollouts show after the warm-up: half of their chunks then get
a window above the middle, half below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from li_env.accel.config import AccelConfig
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import BaseWorld
from li_env.evaluation.bench.paths import commanded_paths
from li_env.evaluation.bench.settings import REFERENCE, BenchSettings
from li_env.evaluation.drive import batches


@dataclass(frozen=True)
class WindowCalibration:
    """Kappa of a world, and the changes that it was taken from.

    Attributes:
        kappa: the median change.
        changes: smoothed latent change by trajectory, one value per chunk after the warm-up and rollout.
    """

    kappa: float
    changes: dict[str, tuple[float, ...]]

    def lengths(self, most: int) -> list[float]:
        """Return the share of chunks whose window has 1, 2, ... ``most`` chunks."""
        changes = np.concatenate([np.array(values) for values in self.changes.values()])
        chunks = np.clip(np.rint(most * self.kappa / (changes + self.kappa)), 1, most)
        return [float((chunks == length).mean()) for length in range(1, most + 1)]


def settings_of(trajectories: Sequence[str], seeds: Sequence[int], chunks: int, batch: int) -> BenchSettings:
    """Return checked settings of the rollouts.

    Raises:
        ValueError: as `BenchSettings`.
    """
    return BenchSettings((REFERENCE,), tuple(trajectories), tuple(seeds), 1, chunks, batch, game=False)


def measure_window(
    world: BaseWorld, settings: BenchSettings, on_chunk: Callable[[], None] = lambda: None
) -> WindowCalibration:
    """Roll the plain model out along the commanded paths and read the latent change of every chunk.

    Args:
        world: the world.
        settings: from `settings_of`.
        on_chunk: called after every chunk of a batch.

    Raises:
        ValueError: the world has no start frames, or its latents never change.
    """
    config = AccelConfig.preset(REFERENCE)
    engine = Engine(world, config)
    changes: dict[str, list[float]] = {name: [] for name in settings.trajectories}
    for group in batches(commanded_paths(world, settings), settings.batch):
        states = [path.begun.episode for path in group]
        for motions in zip(*(path.motions for path in group), strict=True):
            states, _ = engine.step(states, motions)
            on_chunk()
            for path, state in zip(group, states, strict=True):
                change = state.history.latent_change
                if state.chunk > config.warmup_chunks and change is not None:
                    changes[path.trajectory].append(change)
    found = [change for values in changes.values() for change in values]
    kappa = float(np.median(found)) if found else 0.0
    if not kappa > 0.0:
        raise ValueError(f"world={world.spec.name!r}: its latents do not change, so there is no kappa to measure")
    return WindowCalibration(kappa, {name: tuple(values) for name, values in changes.items()})
