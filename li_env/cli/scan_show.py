"""``li-env scan show``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

MOST_SHOWN = 1024
"""Views of a sheet."""


@dataclass(frozen=True)
class Arguments:
    """Show a scan: counts, size, lens, spacing, and a contact sheet of its views."""

    folder: Positional[Path]
    """Folder or file of the scan; docs/scans.md lists the formats."""
    out: Path | None = None
    """PNG file for the contact sheet; each view bears its number."""
    views: int = 64
    """Most views on the sheet, spread evenly."""
    columns: int = 8
    """Views per row."""
    every: int = 1
    """Read the first of every so many views."""
    episode: int | None = None
    """Episode of a recorded dataset."""


def run(arguments: Arguments) -> None:
    """Print, and write the sheet."""
    from rich.console import Console
    from rich.table import Table

    from li_env.files import check_file
    from li_env.recording import write_png
    from li_env.scans.pictures import view_sheet
    from li_env.scans.report import numbers_of
    from li_env.scans.scan import Scan
    from li_env.validation import check_whole

    check_whole("views", arguments.views, 1, MOST_SHOWN)
    check_whole("columns", arguments.columns, 1, MOST_SHOWN)
    if arguments.out is not None:
        check_file("out", arguments.out)
    scan = Scan.read(arguments.folder, every=arguments.every, episode=arguments.episode)
    table = Table("measure", "value")
    for name, value in numbers_of(scan).items():
        table.add_row(name, str(value))
    Console().print(table)
    if arguments.out is not None:
        write_png(arguments.out, view_sheet(scan, arguments.views, arguments.columns))
        print(f"wrote {arguments.out}")
