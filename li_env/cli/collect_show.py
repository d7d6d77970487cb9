"""``li-env collect show``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional


@dataclass(frozen=True)
class Arguments:
    """Show a recorded dataset: counts, success, lengths, actions, and a contact sheet."""

    folder: Positional[Path]
    """Folder of the dataset."""
    out: Path | None = None
    """PNG file for the contact sheet, one row per episode."""


def run(arguments: Arguments) -> None:
    """Print, and write the sheet."""
    from rich.console import Console
    from rich.table import Table

    from li_env.datasets.show import numbers_of, sheet
    from li_env.files import check_file
    from li_env.recording import write_png

    if arguments.out is not None:
        check_file("out", arguments.out)
    numbers = numbers_of(arguments.folder)
    table = Table("measure", "value")
    for name in ("episodes", "left_out", "frames", "rows", "steps", "success", "content"):
        table.add_row(name, f"{numbers[name]}")
    table.add_row("steps per episode", ", ".join(f"{share} {value:g}" for share, value in numbers["lengths"].items()))
    for action, count in numbers["actions"]:
        table.add_row(f"action {action}", str(count))
    Console().print(table)
    if arguments.out is not None:
        write_png(arguments.out, sheet(arguments.folder))
        print(f"wrote {arguments.out}")
