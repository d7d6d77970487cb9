"""Relative L1 difference of consecutive denoising steps, exploring and revisiting (figure 2)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch

from li_env.accel.config import AccelConfig
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import BaseWorld
from li_env.evaluation.camera_path import CameraPath
from li_env.evaluation.fixed_motion import FixedMotionWorld

JUDGED = AccelConfig(name="judged", revisit="coverage")
"""The plain model, whose plans also say whether a chunk is a revisit."""


def step_changes(world: BaseWorld, paths: Sequence[CameraPath]) -> dict[str, list[list[float]]]:
    """Measure |o_i - o_(i-1)| / |o_i| of the model's outputs o_i at consecutive steps, means over absolute values.

    Args:
        world: the world.
        paths: paths to drive one by one under the plain model.

    Returns:
        Per regime ``explore`` and ``revisit`` one list per chunk with one value per pair of steps; empty lists in a
        world that shows no step outputs.
    """
    changes: dict[str, list[list[float]]] = {"explore": [], "revisit": []}
    if world.step_output is None:
        return changes
    outputs: list[torch.Tensor] = []

    def record(module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> None:
        outputs.append(output.detach().float())

    handle = world.step_output.register_forward_hook(record)
    try:
        engine = Engine(FixedMotionWorld(world, timed=False), JUDGED)
        for path in paths:
            states = [path.begun.episode]
            for motions in path.motions:
                outputs.clear()
                states, (result,) = engine.step(states, [motions])
                if result.plan.regime in changes and len(outputs) == result.plan.steps:
                    changes[result.plan.regime].append(
                        [float((new - old).abs().mean() / new.abs().mean()) for old, new in pairwise(outputs)]
                    )
    finally:
        handle.remove()
    return changes
