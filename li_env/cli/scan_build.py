"""``li-env scan build``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from li_env.worlds.freedoom.sizes import Size

WORLDS = ("freedoom_game",)
"""Worlds whose maps can be scanned."""

MOST_HEADINGS = 360
"""Views of a spot."""

MOST_WORKERS = 1024
"""Processes that may be asked for."""


@dataclass(frozen=True)
class Arguments:
    """Take scans of maps of the real game: posed views of all their free space (needs the extra doom)."""

    out: Path
    """Folder for the scan, new or empty; or a file that ends in .npz. With --dataset the folder for all scans."""
    map_seed: int | None = None
    """Seed of the map."""
    dataset: Path | None = None
    """File of navigation episodes (li-env build episodes) instead: one scan of every map in it."""
    world: str = "freedoom_game"
    """World whose map is scanned: freedoom_game, whose maps are those of freedoom."""
    spacing: float = 2.5
    """Metres between spots of a square grid that covers as densely."""
    headings: int = 8
    """Views per spot, evenly around."""
    most: int | None = None
    """Views to keep of a map that has more, places farthest from the others first."""
    workers: int | None = None
    """Processes that scan the maps of a dataset; one per core by default."""
    size: str = "small"
    """Size of the pictures: small (96 x 128, world freedoom) or large (192 x 256, world freedoom_large)."""


def run(arguments: Arguments) -> None:
    """Choose the views, render, write."""
    from li_env.cli._output import progress_display
    from li_env.files import check_file
    from li_env.scans.checks import MAX_VIEWS
    from li_env.scans.writing import check_target
    from li_env.validation import check_choice, check_number, check_whole
    from li_env.worlds.common.game import require_game
    from li_env.worlds.freedoom.build_scan import MOST_MAP_SEED, build_scan
    from li_env.worlds.freedoom.sizes import named_size

    check_choice("world", arguments.world, WORLDS)
    size = named_size(arguments.size)
    if (arguments.map_seed is None) == (arguments.dataset is None):
        raise ValueError("map_seed and dataset exclude each other; allowed: one of the two")
    check_number("spacing", arguments.spacing, 0.1, 1000)
    check_whole("headings", arguments.headings, 1, MOST_HEADINGS)
    if arguments.most is not None:
        check_whole("most", arguments.most, arguments.headings, MAX_VIEWS)
    if arguments.workers is not None:
        check_whole("workers", arguments.workers, 1, MOST_WORKERS)
    if arguments.dataset is not None:
        _scan_all(arguments, size)
        return
    map_seed = check_whole("map_seed", arguments.map_seed, 0, MOST_MAP_SEED)
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

        scan = build_scan(map_seed, arguments.spacing, arguments.headings, show, arguments.most, size.frame_size)
    scan.save(out)
    print(
        f"{len(scan)} views from {len(scan) // arguments.headings} spots of map {map_seed}, hash "
        f"{scan.content_hash[:16]}: {arguments.out}"
    )


def _scan_all(arguments: Arguments, size: Size) -> None:
    """Scan every map of a dataset."""
    import os

    from li_env.cli._output import progress_display
    from li_env.files import check_folder
    from li_env.tasks import EpisodeDataset
    from li_env.worlds.common.game import require_game
    from li_env.worlds.freedoom.build_scan import build_scans

    assert arguments.dataset is not None
    records = EpisodeDataset.read(arguments.dataset).episodes
    maps = {record.map_seed for record in records if record.map_seed is not None}
    if not maps:
        raise ValueError(
            f"dataset={str(arguments.dataset)!r} names no maps; allowed: one that li-env build episodes wrote"
        )
    out = check_folder("out", arguments.out.absolute())
    require_game("scanning the game")
    with progress_display() as display:
        row = display.add_task("maps", total=len(maps))
        workers = arguments.workers or os.cpu_count() or 1
        build_scans(
            maps,
            arguments.spacing,
            arguments.headings,
            arguments.most,
            out,
            workers,
            lambda: display.advance(row),
            size,
        )
    print(f"scans of {len(maps)} maps: {arguments.out}")
