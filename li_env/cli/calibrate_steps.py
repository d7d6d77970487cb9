"""``li-env calibrate steps``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from li_env.cli._calibrating import Rollouts, roll_out


@dataclass(frozen=True)
class Arguments(Rollouts):
    """Fit the line by which preset teacache judges denoising steps to a world's own steps, and keep it."""

    seeds: tuple[int, ...] = (0, 1, 2, 3)
    """One rollout per trajectory and seed; a seed picks start frame and noise."""
    chunks: int = 8
    """Length of a rollout in chunks; the first three are warm-up."""
    out: Path | None = None
    """YAML file to write the line to; by default the one in the cache folder (LI_ENV_CACHE) that worlds read."""


def run(arguments: Arguments) -> None:
    """Measure, write, and print what was found."""
    import numpy as np
    from rich.console import Console

    from li_env.evaluation.calibration.steps import measure_steps
    from li_env.worlds.calibration import Calibration, keep

    world, path, found = roll_out(arguments, measure_steps)
    line = tuple(float(f"{value:.4g}") for value in found.line)
    keep(arguments.world, Calibration(step_rescale=line), path)
    console = Console()
    steps = len(world.spec.sigmas) - 2
    for step in range(steps):
        given, made = np.median(found.changes[step::steps], axis=0)
        console.print(f"step {step + 1} to {step + 2}: input changes by {given:.3g}, output by {made:.3g} (median)")
    console.print(f"output = {line[0]} * input + {line[1]}, error {found.error:.3g}, {len(found.changes)} pairs")
    console.print(f"wrote {path}", soft_wrap=True)
