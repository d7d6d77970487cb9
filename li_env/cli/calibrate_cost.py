"""``li-env calibrate cost``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Arguments:
    """Measure the model's times on this device, by which environments leave out the parts of a preset that do not pay.

    The table is kept per world, device, type of numbers and execution. It takes seconds in freedoom.
    """

    world: str = "freedoom"
    """World by name (see li-env worlds)."""
    preset: str = "sparse"
    """Preset with block-sparse attention, whose ratios are timed where it may fire: name, YAML file or {key: value}."""
    envs: tuple[int, ...] = (1, 8, 32, 128)
    """Numbers of environments; each size of micro-batch that they lead to is timed once."""
    repeats: int = 3
    """How often everything is timed, taking turns; one repeat more goes first and does not count."""
    max_seconds: float = 300.0
    """No repeat after the first begins later than this."""
    device: str = "auto"
    """auto, cpu or cuda."""
    random_weights: bool = False
    """Give the world random weights of its real shape: times do not depend on their values."""
    out: Path | None = None
    """YAML file to write the table to; by default the one in the cache folder (LI_ENV_CACHE) that worlds read."""


def run(arguments: Arguments) -> None:
    """Measure, write, and print the times and what presets leave out."""
    from rich.console import Console
    from rich.table import Table

    from li_env.accel.config import AccelConfig
    from li_env.cli._calibrating import open_world
    from li_env.cli._output import progress_display
    from li_env.evaluation.calibration.cost import cells_of, measure_cost
    from li_env.evaluation.part_costs import cost_lines, part_costs
    from li_env.validation import check_number, check_whole
    from li_env.worlds.calibration import Calibration, cost_name, keep

    check_whole("repeats", arguments.repeats, 1, 1000)
    check_number("max_seconds", arguments.max_seconds, 0)
    if not arguments.envs:
        raise ValueError("envs=() is not allowed; use one or more numbers of environments")
    for count in arguments.envs:
        check_whole("envs", count, 1, 65536)
    AccelConfig.of(arguments.preset)
    world, path = open_world(arguments.world, arguments.device, arguments.out, arguments.random_weights)
    with progress_display() as progress:
        total = (arguments.repeats + 1) * len(cells_of(world, arguments.preset, arguments.envs))
        task = progress.add_task(f"{world.spec.name}, model calls", total=total)
        found, repeats = measure_cost(
            *(world, arguments.preset, arguments.envs, arguments.repeats, arguments.max_seconds),
            lambda: progress.advance(task),
        )
    name = cost_name(world)
    keep(arguments.world, Calibration(costs={name: found}), path)
    caption = f"milliseconds of a model call on {name}, medians of {repeats}"
    table = Table(
        "episodes", "context latents", "attention", *(f"{step} steps" for step in found.steps), caption=caption
    )
    for call in found.calls:
        for context, row in zip(call.contexts, call.milliseconds, strict=True):
            kind = "dense" if call.dense else "block-sparse"
            table.add_row(str(call.episodes), str(context), kind, *(f"{value:.4g}" for value in row))
    console = Console()
    console.print(table)
    console.print(f"planning: plain {found.plain_plan} ms, coverage {found.coverage_plan} ms per episode")
    world.costs = found
    for line in cost_lines(arguments.world, part_costs(world, [AccelConfig.preset("all")])):
        console.print(line, soft_wrap=True)
    console.print(f"wrote {path}", soft_wrap=True)
