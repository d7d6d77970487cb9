"""``li-env calibrate attention``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Arguments:
    """Measure from which context length on block-sparse attention is faster on this device, and keep it."""

    world: str = "freedoom"
    """World by name (see li-env worlds)."""
    preset: str = "sparse"
    """Preset with block-sparse attention, whose ratios are timed: name, YAML file or {key: value, ...}."""
    repeats: int = 5
    """How often each context length is timed, dense and block-sparse taking turns."""
    batch: int = 1
    """Episodes that step together."""
    device: str = "auto"
    """auto, cpu or cuda."""
    random_weights: bool = False
    """Give the world random weights of its real shape: times do not depend on their values."""
    out: Path | None = None
    """YAML file to write the number to; by default the one in the cache folder (LI_ENV_CACHE) that worlds read."""


def run(arguments: Arguments) -> None:
    """Measure, write, and print the times."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from li_env.accel.config import AccelConfig
    from li_env.accel.runtime.machine import device_name
    from li_env.cli._calibrating import open_world
    from li_env.cli._output import progress_display
    from li_env.evaluation.calibration.attention import measure_crossover
    from li_env.validation import check_whole
    from li_env.worlds.calibration import Calibration, keep

    check_whole("repeats", arguments.repeats, 1, 1000)
    check_whole("batch", arguments.batch, 1, 4096)
    AccelConfig.of(arguments.preset)
    world, path = open_world(arguments.world, arguments.device, arguments.out, arguments.random_weights)
    with progress_display() as progress:
        task = progress.add_task(f"{world.spec.name}, chunks", total=None)
        found = measure_crossover(
            world, arguments.preset, arguments.repeats, arguments.batch, lambda: progress.advance(task)
        )
    device = device_name(world.device)
    keep(arguments.world, Calibration(sparse_min_context={device: found.least}), path)
    table = Table("context latents", "dense ms", "block-sparse ms", caption="generation of one chunk, medians")
    for length, dense, sparse in zip(found.contexts, found.dense, found.sparse, strict=True):
        table.add_row(str(length), f"{np.median(dense):.1f}", f"{np.median(sparse):.1f}")
    console = Console()
    console.print(table)
    console.print(f"sparse_min_context {found.least} on {device}", soft_wrap=True)
    console.print(f"wrote {path}", soft_wrap=True)
