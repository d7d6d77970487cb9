"""``li-env evaluate world``: the fidelity report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Arguments:
    """Measure the freedoom world against the real game on held-out maps (needs the extra doom).

    Renders the same trajectories in ViZDoom and writes freedoom_fidelity.json, a plot and a side-by-side picture.
    """

    out: Path = Path("benchmarks")
    """Folder for the results; made if needed, files of the same name are replaced."""
    trajectories: int = 64
    """Trajectories per kind, each on a held-out map of its own."""
    chunks: int = 32
    """Length of own rollouts in chunks of 4 frames."""
    device: str = "auto"
    """auto, cpu or cuda. About 3 minutes on one H200; hours on a CPU, see --quick."""
    weights: Path | None = None
    """Folder with weights, as li-env train world leaves them; the shipped ones by default."""
    preset: str = "off"
    """Acceleration preset: name, YAML file or {key: value, ...}."""
    seed: int = 0
    """Picks maps, walks and noise (0 to 999)."""
    workers: int | None = None
    """Processes that render the game; one per core by default."""
    quick: bool = False
    """Quick look on a CPU (8 minutes on 2 cores): at most 2 trajectories per kind, 4 chunks, one next chunk each."""


def run(arguments: Arguments) -> None:
    """Measure, write, and print the tables."""
    from rich.console import Console

    from li_env.evaluation.fidelity.run import PICTURE, PLOT, REPORT, evaluate_world
    from li_env.evaluation.fidelity.settings import FidelitySettings
    from li_env.evaluation.fidelity.tables import print_report
    from li_env.files import check_folder
    from li_env.worlds.common.game import require_game
    from li_env.worlds.registry import resolve_device

    settings = FidelitySettings(
        trajectories=min(2, arguments.trajectories) if arguments.quick else arguments.trajectories,
        chunks=min(4, arguments.chunks) if arguments.quick else arguments.chunks,
        positions=1 if arguments.quick else FidelitySettings.positions,
        device=resolve_device(arguments.device),
        weights=arguments.weights,
        preset=arguments.preset,
        seed=arguments.seed,
        workers=arguments.workers,
        command=_command(arguments),
    )
    check_folder("out", arguments.out, (REPORT, PLOT, PICTURE))
    require_game("evaluating the freedoom world")
    report = evaluate_world(settings, arguments.out)
    console = Console()
    print_report(report, console)
    console.print(f"wrote {REPORT}, {PLOT}, {PICTURE} to {arguments.out}", soft_wrap=True)


def _command(arguments: Arguments) -> str:
    """Return the command line that repeats this, without defaults."""
    from dataclasses import fields

    words = ["li-env", "evaluate", "world"]
    for field in fields(arguments):
        value = getattr(arguments, field.name)
        if value != field.default:
            words += [f"--{field.name}"] if value is True else [f"--{field.name}", str(value)]
    return " ".join(words)
