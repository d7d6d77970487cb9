"""``li-env evaluate world``: a world against the game, without and with a scan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Arguments:
    """Measure a freedoom world against the real game on held-out maps, without and with a scan (needs extra doom).

    Writes freedoom_world.json, a plot and a side-by-side picture; the part fidelity writes freedoom_fidelity.json and
    its pictures too. The report grows by one measurement at a time: the same command goes on where it was stopped.
    What each number means: docs/worlds/measuring.md.
    """

    out: Path = Path("benchmarks")
    """Folder for the results; made if needed, files of the same name are replaced."""
    world: str = "freedoom"
    """freedoom or freedoom_large."""
    split: str = "validation"
    """Held-out maps: validation for decisions, test for final numbers alone."""
    parts: tuple[str, ...] = ()
    """What to measure: fidelity, autoencoder, walks, next, loops, paths, walls, actions, collapse, steps, agents; all
    by default."""
    trajectories: int | None = None
    """Trajectories per kind, each on a held-out map of its own; 64 on a GPU and 2 on a CPU by default."""
    chunks: int | None = None
    """Length of own rollouts in chunks of 4 frames; 32 on a GPU and 4 on a CPU by default."""
    spacings: tuple[float, ...] = (2.5, 4.0, 6.0)
    """Metres between the spots of the scans, increasing; parts that take one scan take the first one."""
    headings: int = 8
    """Views per spot."""
    device: str = "auto"
    """auto, cpu or cuda."""
    weights: Path | None = None
    """Folder with weights, as li-env train world leaves them; the shipped ones by default."""
    preset: str | None = None
    """One acceleration preset: name, YAML file or {key: value, ...}; off and all by default."""
    mapper: Path = Path("benchmarks/mapper")
    """Folder of the trained mapper that plays in the part agents; left out if it is not there."""
    seed: int = 0
    """Picks maps, walks and noise (0 to 999)."""
    workers: int | None = None
    """Processes that render the game; one per core by default."""
    max_seconds: float | None = None
    """No measurement begins after so many seconds."""
    quick: bool = False
    """Quick look: at most 2 trajectories per kind, 4 chunks, one next chunk each."""


def run(arguments: Arguments) -> None:
    """Measure, write, and print the tables."""
    from functools import partial

    from rich.console import Console

    from li_env.cli._world_agents import units
    from li_env.evaluation.world.run import FRAMES, PICTURE, PLOT, REPORT, measure_world
    from li_env.evaluation.world.settings import FEW, FEW_CHUNKS, PARTS, WorldSettings
    from li_env.evaluation.world.tables import print_report
    from li_env.files import check_folder
    from li_env.worlds.common.game import require_game
    from li_env.worlds.registry import resolve_device

    device = resolve_device(arguments.device)
    small = arguments.quick or device == "cpu"
    trajectories = arguments.trajectories if arguments.trajectories is not None else FEW if small else 64
    chunks = arguments.chunks if arguments.chunks is not None else FEW_CHUNKS if small else 32
    settings = WorldSettings(
        trajectories=min(FEW, trajectories) if arguments.quick else trajectories,
        chunks=min(FEW_CHUNKS, chunks) if arguments.quick else chunks,
        positions=1 if small else WorldSettings.positions,
        split=arguments.split,
        spacings=arguments.spacings,
        headings=arguments.headings,
        presets=WorldSettings.presets if arguments.preset is None else (arguments.preset,),
        parts=arguments.parts or PARTS,
        device=device,
        weights=arguments.weights,
        seed=arguments.seed,
        workers=arguments.workers,
        max_seconds=arguments.max_seconds,
        command=_command(arguments),
        world=arguments.world,
    )
    check_folder("out", arguments.out, (REPORT, PLOT, PICTURE, FRAMES))
    require_game("evaluating the freedoom world")
    console = Console()

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False)

    more = {"agents": partial(units, mapper=arguments.mapper, say=say)}
    report = measure_world(settings, arguments.out, more, say)
    print_report(report, console)
    written = [name for name in (REPORT, PLOT, PICTURE) if (arguments.out / name).exists()]
    console.print(f"wrote {', '.join(written)} to {arguments.out}", soft_wrap=True)


def _command(arguments: Arguments) -> str:
    """Return the command line that repeats this, without defaults."""
    from dataclasses import fields

    words = ["li-env", "evaluate", "world"]
    for field in fields(arguments):
        value = getattr(arguments, field.name)
        if value != field.default:
            name = f"--{field.name.replace('_', '-')}"
            values = value if isinstance(value, tuple) else (value,)
            words += [name] if value is True else [name, *map(str, values)]
    return " ".join(words)
