"""``li-env bench``: presets side by side in one table."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from li_env.accel.world import BaseWorld
    from li_env.evaluation.bench.settings import BenchSettings


@dataclass(frozen=True)
class Arguments:
    """Measure presets side by side: time by stage, speed-up, frames against off, in revisits, against the game.

    Writes bench.json, and sweep_KEY.png per sweep (sweep_PRESET_KEY.png for another preset than all).
    """

    world: tuple[str, ...] = ("freedoom",)
    """Worlds by name (see li-env worlds)."""
    presets: tuple[str, ...] | None = None
    """Acceleration presets: names, YAML files or {key: value, ...}; off, their reference, is always run. By default
    off, context, cache, sparse and all."""
    trajectories: tuple[str, ...] | None = None
    """Any of left-right, forward-backward, square, random; all of them by default."""
    seeds: tuple[int, ...] | None = None
    """One rollout per trajectory and seed; a seed picks start frame and noise. By default 0 and 1, with --paper 0."""
    repeats: int | None = None
    """How often everything is timed, the presets taking turns: by default 3 times, with --paper 2 times."""
    chunks: int | None = None
    """Length of a rollout in chunks (4 latents each in freedoom): by default 16, with --paper 10."""
    batch: int | None = None
    """Rollouts generated at once, by default 4."""
    sweep: tuple[str, ...] | None = None
    """KEY=VALUE,VALUE: preset all with a key replaced, such as revisit_similarity=0.5,0.7,0.9; KEY+KEY=... for several
    keys together, PRESET:KEY=... for another preset."""
    device: str = "auto"
    """auto, cpu or cuda."""
    out: Path = Path("outputs/bench")
    """Folder for the results; made if needed, files of the same name are replaced."""
    random_weights: bool = False
    """Give the worlds random weights of their real shape, to measure time and memory without the published ones."""
    game: bool = True
    """Compare with the real game where a world has one (freedoom; needs the extra doom)."""
    paper: bool = False
    """Write the paper's tables and figures for one world instead, with every preset. Goes on where an equal run in the
    same folder has stopped. Takes --seeds, --repeats, --chunks and --trajectories."""
    perceptual: tuple[str, ...] = ("auto",)
    """Distances of pictures that --paper has beside PSNR and SSIM: effnet, lpips, or auto for those at hand."""
    images: Path | None = None
    """Folder of start images that --paper takes instead of the world's own."""
    prompts: Path | None = None
    """Text file with one prompt per line for --images, in the order of their names."""


def run(arguments: Arguments) -> None:
    """Measure, write, and print the tables."""
    if arguments.paper:
        from li_env.cli._paper import run_paper

        run_paper(arguments)
        return
    for key in ("images", "prompts"):
        if getattr(arguments, key) is not None:
            raise ValueError(f"{key}={str(getattr(arguments, key))!r} needs --paper")
    from rich.console import Console

    from li_env.cli._paper import given
    from li_env.evaluation.bench.run import REPORT, benchmark, write_report
    from li_env.evaluation.bench.settings import BenchSettings, parse_sweeps
    from li_env.evaluation.bench.tables import print_report
    from li_env.files import check_folder
    from li_env.worlds.registry import load_world, world_entry

    settings = BenchSettings(
        game=arguments.game,
        sweeps=parse_sweeps(arguments.sweep or ()),
        **given(arguments, ("presets", "trajectories", "seeds", "repeats", "chunks", "batch")),
    )
    if not arguments.world or len(set(arguments.world)) != len(arguments.world):
        raise ValueError(f"world={arguments.world!r} is not allowed; use one or more, each once")
    for name in arguments.world:
        world_entry(name)
    names = [REPORT, *(sweep.file for sweep in settings.sweeps)]
    check_folder("out", arguments.out, names)
    options: dict[str, Any] = {"random_weights": True} if arguments.random_weights else {}
    reports = []
    for name in arguments.world:
        reports.append(_with_progress(load_world(name, device=arguments.device, **options), settings, benchmark))
    names = write_report(reports, settings, _command(arguments), arguments.out)
    console = Console()
    for report in reports:
        print_report(report, console)
    console.print(f"wrote {', '.join(names)} to {arguments.out}", soft_wrap=True)


def _with_progress(world: BaseWorld, settings: BenchSettings, benchmark: Any) -> dict[str, Any]:
    from li_env.cli._output import progress_display
    from li_env.evaluation.bench.run import steps_needed

    with progress_display() as progress:
        task = progress.add_task(f"{world.spec.name}, chunks", total=steps_needed(world, settings))
        report: dict[str, Any] = benchmark(world, settings, lambda: progress.advance(task))
    return report


def _command(arguments: Arguments) -> str:
    """Return the command line that repeats this, without defaults."""
    words = ["li-env", "bench"]
    for field in fields(arguments):
        value = getattr(arguments, field.name)
        if value != field.default:
            option = field.name.replace("_", "-")
            words.append(f"--no-{option}" if value is False else f"--{option}")
            if not isinstance(value, bool):
                words += [str(part) for part in value] if isinstance(value, tuple) else [str(value)]
    return " ".join(words)
