"""``li-env calibrate window``."""

from __future__ import annotations

from dataclasses import dataclass

from li_env.cli._calibrating import Rollouts, roll_out


@dataclass(frozen=True)
class Arguments(Rollouts):
    """Measure kappa of a world's adaptive window from its rollouts, and keep it for the presets that use it."""


def run(arguments: Arguments) -> None:
    """Measure, write, and print what was found."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from li_env.evaluation.calibration.window import measure_window
    from li_env.worlds.calibration import Calibration, keep

    world, path, found = roll_out(arguments, measure_window)
    keep(arguments.world, Calibration(window_kappa=float(f"{found.kappa:.4g}")), path)
    table = Table("trajectory", "chunks", "10 %", "median", "90 %", caption="smoothed latent change after the warm-up")
    for name, changes in found.changes.items():
        table.add_row(name, str(len(changes)), *(f"{value:.4g}" for value in np.percentile(changes, (10, 50, 90))))
    console = Console()
    console.print(table)
    most = max(1, world.spec.temporal_latents // world.spec.chunk_latents)
    shares = ", ".join(f"{1 + index}: {share:.0%}" for index, share in enumerate(found.lengths(most)))
    console.print(f"window_kappa {found.kappa:.4g}; window in chunks {shares}")
    console.print(f"wrote {path}", soft_wrap=True)
