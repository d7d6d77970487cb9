"""``li-env scan build``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

WORLDS = ("freedoom_game",)
"""Worlds whose maps can be scanned."""

MOST_HEADINGS = 360
"""Views of a spot."""


@dataclass(frozen=True)
class Arguments:
    """Take a scan of a map of the real game: posed views of all its free space (needs the extra doom)."""

    map_seed: int
    """Seed of the map."""
    out: Path
    """Folder for the scan, new or empty; or a file that ends in .npz."""
    world: str = "freedoom_game"
    """World whose map is scanned: freedoom_game, whose maps are those of freedoom."""
    spacing: float = 2.5
    """Metres between spots of a square grid that covers as densely."""
    headings: int = 8
    """Views per spot, evenly around."""


def run(arguments: Arguments) -> None:
    """Choose the views, render, write."""
    from li_env.cli._output import progress_display
    from li_env.files import check_file
    from li_env.scans.writing import check_target
    from li_env.validation import check_choice, check_number, check_whole
    from li_env.worlds.common.game import require_game
    from li_env.worlds.freedoom.build_scan import MOST_MAP_SEED, build_scan

    check_choice("world", arguments.world, WORLDS)
    check_whole("map_seed", arguments.map_seed, 0, MOST_MAP_SEED)
    check_number("spacing", arguments.spacing, 0.1, 1000)
    check_whole("headings", arguments.headings, 1, MOST_HEADINGS)
    # Absolute: starting the game changes the current folder for a while.
    out = arguments.out.absolute()
    if out.suffix == ".npz":
        check_file("out", out)
    else:
        check_target(out)
    require_game("scanning the game")
    with progress_display() as display:
        row = display.add_task("views", total=None)

        def show(done: int, total: int) -> None:
            display.update(row, completed=done, total=total)

        scan = build_scan(arguments.map_seed, arguments.spacing, arguments.headings, show)
    scan.save(out)
    print(
        f"{len(scan)} views from {len(scan) // arguments.headings} spots of map {arguments.map_seed}, hash "
        f"{scan.content_hash[:16]}: {arguments.out}"
    )
