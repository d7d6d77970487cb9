"""Tables of the measurement, for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from li_env.evaluation.world.targets import Target, targets

HEADER = ("against the game", "required", "stretch")


def print_report(report: Mapping[str, Any], console: Console) -> None:
    """Print the targets of every preset beside each other, and what is missing."""
    settings = report["settings"]
    columns = [targets(report, preset) for preset in settings["presets"]]
    table = Table(HEADER[0], *settings["presets"], *HEADER[1:], "reached")
    table.title = f"{settings['split']} maps, {settings['trajectories']} walks of every kind"
    for row in zip(*columns, strict=True):
        table.add_row(
            row[0].name, *(shown(each) for each in row), *wanted(row[0]), ", ".join(each.reached for each in row)
        )
    console.print(table)
    if report["missing"]:
        console.print(f"not measured yet: {', '.join(report['missing'])}; the same command goes on", soft_wrap=True)


def markdown(report: Mapping[str, Any]) -> str:
    """Return the table of targets as Markdown: a row per number, a column per preset."""
    presets = report["settings"]["presets"]
    rows = [
        (HEADER[0], *(f"`{preset}`" for preset in presets), *HEADER[1:]),
        ("---",) * (len(presets) + 3),
        *(
            (row[0].name, *(shown(each) for each in row), *wanted(row[0]))
            for row in zip(*(targets(report, preset) for preset in presets), strict=True)
        ),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def shown(target: Target) -> str:
    """Return a measured value with its unit; a dash where it was not measured."""
    if target.value is None:
        return "-"
    unit = f" {target.unit}" if target.unit in ("dB", "m") else ""
    return f"{target.value:.{target.digits}f}{unit}"


def wanted(target: Target) -> tuple[str, str]:
    """Return the required and the stretch value, empty where there is none."""
    sign = "<= " if target.at_most else ""
    first, second = ("" if value is None else f"{sign}{value:g}" for value in (target.required, target.stretch))
    return first, second
