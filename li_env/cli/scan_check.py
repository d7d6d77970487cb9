"""``li-env scan check``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

if TYPE_CHECKING:
    import numpy as np

    from li_env.scans.scan import Scan


@dataclass(frozen=True)
class Arguments:
    """Check a scan: counts, spacing, tilt, and views that disagree with their poses; draw its coverage."""

    folder: Positional[Path]
    """Folder or file of the scan; docs/scans.md lists the formats."""
    world: str = "freedoom"
    """World that is to use the scan: its view distance, unit of length, lens and frames (see li-env worlds)."""
    scale: float = 1.0
    """Factor of all lengths, from the scan's unit to the world's."""
    axes: Literal["opencv", "opengl"] | None = None
    """Axes of the cameras; those of the format by default."""
    every: int = 1
    """Read the first of every so many views."""
    episode: int | None = None
    """Episode of a recorded dataset."""
    out: Path | None = None
    """PNG file for the coverage from above."""


def run(arguments: Arguments) -> None:
    """Check, draw and print; a view that disagrees with its pose ends the command with exit code 2."""
    from rich.console import Console
    from rich.table import Table

    from li_env.cli._output import progress_display
    from li_env.files import check_file
    from li_env.scans.agreement import compare_views
    from li_env.scans.lens import fit_views
    from li_env.scans.pictures import write_map
    from li_env.scans.report import agreement_in_words, field_of_view, lens_of, numbers_of, wrong_in_words
    from li_env.scans.scan import Scan, check_scale
    from li_env.worlds.registry import load_world, world_entry

    if arguments.out is not None:
        check_file("out", arguments.out)
    world_entry(arguments.world)
    scan = Scan.read(
        arguments.folder, scale=arguments.scale, axes=arguments.axes, every=arguments.every, episode=arguments.episode
    )
    spec = load_world(arguments.world).spec
    check_scale(scan, spec.view_distance)
    fit_views(scan.images[:1], scan.intrinsics, spec.frame_size, spec.focal)  # before the long comparison
    lens = lens_of(scan, spec.focal)
    with progress_display() as display:
        row = display.add_task("views", total=len(scan))
        found = compare_views(scan.images, scan.poses, lens, on_view=lambda: display.advance(row))
    table = Table("measure", "value", caption=f"lengths in {spec.length_unit}s")
    for name, value in numbers_of(scan).items():
        table.add_row(name, str(value))
    table.add_row("poses", agreement_in_words(found))
    Console().print(table)
    if arguments.out is not None:
        angle = field_of_view(scan, lens)[0]
        walls = _walls(scan)
        write_map(arguments.out, scan, angle, spec.view_distance, found.wrong, walls, f"{spec.length_unit}s")
        print(f"wrote {arguments.out}")
    if found.wrong:
        raise ValueError(f"views that disagree with their poses: {wrong_in_words(found)}; mend or leave them out")
    if found.convention:
        raise ValueError(f"no view agrees with its pose; the poses are {found.convention}")


def _walls(scan: Scan) -> np.ndarray | None:
    from li_env.worlds.freedoom.build_scan import map_walls

    return None if scan.map_seed is None else map_walls(scan.map_seed)
