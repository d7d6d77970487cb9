"""``li-env calibrate window``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Arguments:
    """Measure kappa of a world's adaptive window from its rollouts, and keep it for the presets that use it."""

    world: str = "freedoom"
    """World by name (see li-env worlds)."""
    trajectories: tuple[str, ...] = ("left-right", "forward-backward", "square", "random")
    """Any of left-right, forward-backward, square, random."""
    seeds: tuple[int, ...] = (0, 1)
    """One rollout per trajectory and seed; a seed picks start frame and noise."""
    chunks: int = 16
    """Length of a rollout in chunks; the first three are warm-up."""
    batch: int = 4
    """Rollouts generated at once."""
    device: str = "auto"
    """auto, cpu or cuda."""
    out: Path | None = None
    """YAML file to write the number to; by default the one in the cache folder (LI_ENV_CACHE) that worlds read."""


def run(arguments: Arguments) -> None:
    """Measure, write, and print what was found."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from li_env.cli._output import progress_display
    from li_env.evaluation.calibration.window import measure_window, settings_of
    from li_env.files import check_file
    from li_env.worlds.calibration import Calibration, keep, own_file
    from li_env.worlds.registry import load_world, world_entry

    settings = settings_of(arguments.trajectories, arguments.seeds, arguments.chunks, arguments.batch)
    world_entry(arguments.world)
    path = check_file("out", own_file(arguments.world) if arguments.out is None else arguments.out)
    world = load_world(arguments.world, device=arguments.device)
    rollouts = len(arguments.trajectories) * -(-len(arguments.seeds) // arguments.batch)
    with progress_display() as progress:
        task = progress.add_task(f"{world.spec.name}, chunks", total=rollouts * arguments.chunks)
        found = measure_window(world, settings, lambda: progress.advance(task))
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
