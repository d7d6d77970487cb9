"""Polynomial of TeaCache, refitted to a world's own few denoising steps.

Published polynomials were fitted on schedules of 50 steps. The steps of a distilled model change its input far more,
so a straight line is fitted to what these steps do: by least squares, through pairs of the relative change of the input
and that of the output. Where that line falls, because the few steps lie too close together, the line through the origin
takes its place: a larger change of the input must not count as a smaller one of the output.

Source: docs/spec/baselines.md, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import BaseWorld, ChunkRequest, StepLog
from li_env.accel.world_wrapper import WorldWrapper
from li_env.evaluation.bench.paths import commanded_paths
from li_env.evaluation.bench.settings import REFERENCE, BenchSettings
from li_env.evaluation.drive import batches


@dataclass(frozen=True)
class StepCalibration:
    """A straight line and what it was fitted to.

    Attributes:
        line: slope and offset, as `WorldSpec.step_rescale` takes them.
        changes: [n, 2], relative change of input and output from one step to the next.
        error: root of the mean squared difference between the line and the changes of the output.
    """

    line: tuple[float, float]
    changes: np.ndarray
    error: float


class _Observed(WorldWrapper):
    """World that measures the change of every denoising step."""

    def __init__(self, world: BaseWorld) -> None:
        super().__init__(world)
        self.logs: list[StepLog] = []

    def generate(self, requests: Sequence[ChunkRequest]) -> list[torch.Tensor]:
        logged = [r if r.log is None else replace(r, log=StepLog(observe=True)) for r in requests]
        made = self.world.generate(logged)
        self.logs += [request.log for request in logged if request.log is not None]
        return made


def measure_steps(
    world: BaseWorld, settings: BenchSettings, on_chunk: Callable[[], None] = lambda: None
) -> StepCalibration:
    """Roll the plain model out along the commanded paths and fit the line.

    Args:
        world: the world.
        settings: from `window.settings_of`.
        on_chunk: called after every chunk of a batch.

    Raises:
        ValueError: the world cannot reuse steps, has no start frames, or its steps never change the input.
    """
    observed = _Observed(world)
    engine = Engine(observed, AccelConfig.preset(REFERENCE).replace(reuse_threshold=0.0))
    for group in batches(commanded_paths(world, settings), settings.batch):
        states = [path.begun.episode for path in group]
        for motions in zip(*(path.motions for path in group), strict=True):
            states, _ = engine.step(states, motions)
            on_chunk()
    changes = np.array([pair for log in observed.logs for pair in log.changes], dtype=np.float64).reshape(-1, 2)
    if not len(changes) or not np.ptp(changes[:, 0]) > 0.0:
        raise ValueError(f"world={world.spec.name!r}: its denoising steps do not differ, so there is no line to fit")
    slope, offset = (float(value) for value in np.polyfit(changes[:, 0], changes[:, 1], 1))
    if slope < 0:
        slope, offset = float((changes[:, 0] * changes[:, 1]).sum() / np.square(changes[:, 0]).sum()), 0.0
    error = float(np.sqrt(np.mean((slope * changes[:, 0] + offset - changes[:, 1]) ** 2)))
    return StepCalibration((slope, offset), changes, error)
