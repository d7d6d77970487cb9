"""``li-env bench --paper``: the tables and figures of the paper for one world."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def run_paper(arguments: Any) -> None:
    """Measure or go on measuring, write tables and figures, and print where they are.

    ``arguments`` are those of ``li-env bench``.

    Raises:
        ValueError: options that do not fit each other, or as `paper`.
    """
    from rich.console import Console

    from li_env.cli._output import progress_display
    from li_env.evaluation.paper.figures import write_figures
    from li_env.evaluation.paper.images import image_options
    from li_env.evaluation.paper.run import REPORT, paper, units_needed
    from li_env.evaluation.paper.settings import PaperSettings
    from li_env.evaluation.paper.tables import page
    from li_env.evaluation.part_costs import cost_lines
    from li_env.evaluation.perceptual import load_measures
    from li_env.files import atomic_write, check_folder, write_json
    from li_env.worlds.registry import load_world, world_entry

    if len(arguments.world) != 1:
        raise ValueError(f"world={arguments.world!r} is not allowed with --paper; use one")
    if arguments.prompts is not None and arguments.images is None:
        raise ValueError(f"prompts={str(arguments.prompts)!r} needs --images")
    for key in ("presets", "sweep", "batch"):
        if getattr(arguments, key) is not None:
            raise ValueError(f"{key}={getattr(arguments, key)!r} is not allowed with --paper, which runs every preset")
    settings = PaperSettings(game=arguments.game, **given(arguments, ("trajectories", "seeds", "repeats", "chunks")))
    world_entry(arguments.world[0])
    images = [] if arguments.images is None else image_options(arguments.images, arguments.prompts)
    measures, absent = load_measures(arguments.perceptual)
    check_folder("out", arguments.out)
    options: dict[str, Any] = {"random_weights": True} if arguments.random_weights else {}
    world = load_world(arguments.world[0], device=arguments.device, **options)
    with progress_display() as progress:
        task = progress.add_task(f"{world.spec.name}, units", total=units_needed(settings))
        report = paper(world, settings, arguments.out, measures, images, lambda: progress.advance(task))
    write_json(arguments.out / REPORT, report)
    notes = [f"left out: {line}" for line in absent]
    text = page(report, [*notes, *cost_lines(arguments.world[0], report["cost_model"])])
    with atomic_write(arguments.out / "tables.md") as file:
        file.write_text(text, encoding="utf-8")
    names = [REPORT, "tables.md", *write_figures(report, arguments.out)]
    console = Console()
    console.print(text, markup=False, highlight=False, soft_wrap=True)
    console.print(f"wrote {', '.join(names)} to {arguments.out}", soft_wrap=True)


def given(arguments: Any, keys: Sequence[str]) -> dict[str, Any]:
    """Return the options that were given on the command line; the others are None."""
    values = {key: getattr(arguments, key) for key in keys}
    return {key: value for key, value in values.items() if value is not None}
