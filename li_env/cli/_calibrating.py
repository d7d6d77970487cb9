"""What the commands of ``li-env calibrate`` have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from li_env.accel.world import BaseWorld
    from li_env.evaluation.bench.settings import BenchSettings

Found = TypeVar("Found")


@dataclass(frozen=True)
class Rollouts:
    """Arguments of such a command."""

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


def open_world(name: str, device: str, out: Path | None, random_weights: bool = False) -> tuple[BaseWorld, Path]:
    """Load the world to measure, once its name and the file to write to have been checked.

    Args:
        name: of the world.
        device: ``auto``, ``cpu`` or ``cuda``.
        out: file to write to; None for the one that worlds read.
        random_weights: whether the world gets random weights of its real shape.

    Raises:
        ValueError: an argument that is not allowed.
    """
    from typing import Any

    from li_env.files import check_file
    from li_env.worlds.calibration import own_file
    from li_env.worlds.registry import load_world, world_entry

    world_entry(name)
    path = check_file("out", own_file(name) if out is None else out)
    options: dict[str, Any] = {"random_weights": True} if random_weights else {}
    return load_world(name, device=device, **options), path


def roll_out(
    arguments: Rollouts, measure: Callable[[BaseWorld, BenchSettings, Callable[[], None]], Found]
) -> tuple[BaseWorld, Path, Found]:
    """Check the arguments, load the world and measure, with a progress bar.

    Args:
        arguments: of the command.
        measure: takes the world, the settings and what is to be called after every chunk of a batch.

    Returns:
        The world, the file to write to, and what ``measure`` gave.

    Raises:
        ValueError: an argument that is not allowed, or what ``measure`` raises.
    """
    from li_env.cli._output import progress_display
    from li_env.evaluation.calibration.window import settings_of

    settings = settings_of(arguments.trajectories, arguments.seeds, arguments.chunks, arguments.batch)
    world, path = open_world(arguments.world, arguments.device, arguments.out)
    rollouts = len(arguments.trajectories) * -(-len(arguments.seeds) // arguments.batch)
    with progress_display() as progress:
        task = progress.add_task(f"{world.spec.name}, chunks", total=rollouts * arguments.chunks)
        found = measure(world, settings, lambda: progress.advance(task))
    return world, path, found
