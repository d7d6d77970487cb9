"""Pictures of a scan: a sheet of its views, and its coverage from above."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from li_env.files import atomic_write
from li_env.recording import contact_sheet
from li_env.scans.checks import spot_distances
from li_env.scans.scan import Scan

SHEET_WIDTH = 192
"""Most pixels of a row of a view on a sheet."""

_CELLS = 160  # of the coverage, along the longer side


def view_sheet(scan: Scan, views: int = 64, columns: int = 8) -> np.ndarray:
    """Return a contact sheet of views spread evenly over the scan, each with its number.

    Args:
        scan: to show.
        views: most views on the sheet.
        columns: views per row.
    """
    picked = np.unique(np.linspace(0, len(scan) - 1, min(views, len(scan))).round().astype(int))
    height, width = scan.images.shape[1:3]
    size = (min(width, SHEET_WIDTH), max(1, round(height * min(width, SHEET_WIDTH) / width)))
    shown = []
    for view in picked.tolist():
        image = cv2.resize(scan.images[view], size, interpolation=cv2.INTER_AREA)
        for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(
                image, str(view), (4, size[1] - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, thickness, cv2.LINE_AA
            )
        shown.append(image)
    return contact_sheet(shown, columns)


def coverage(
    poses: np.ndarray, angle: float, reach: float, margin: float
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """Count from how many spots each cell of the ground is looked at, as if there were no walls.

    Args:
        poses: [n, 4, 4] camera-to-world.
        angle: horizontal field of view in degrees.
        reach: length units up to which a view counts.
        margin: length units around the cameras that are shown.

    Returns:
        counts [rows, columns], row 0 at the least z, and the limits (x from, x to, z from, z to).
    """
    spots, headings = poses[:, [0, 2], 3], poses[:, [0, 2], 2]
    low, high = spots.min(0) - margin, spots.max(0) + margin
    cell = float((high - low).max()) / _CELLS
    across, along = (low[axis] + (np.arange(max(1, round((high - low)[axis] / cell))) + 0.5) * cell for axis in (0, 1))
    cells = np.stack(np.meshgrid(across, along), -1)
    counts = np.zeros(cells.shape[:2], dtype=int)
    _, spot_of = np.unique(spots.round(6), axis=0, return_inverse=True)
    for spot in range(int(spot_of.max()) + 1):
        seen = np.zeros(cells.shape[:2], dtype=bool)
        for view in np.flatnonzero(spot_of.ravel() == spot):
            away = cells - spots[view]
            length = np.linalg.norm(away, axis=-1)
            ahead = away @ headings[view] / max(float(np.linalg.norm(headings[view])), 1e-9)
            seen |= (length < reach) & (ahead >= length * np.cos(np.radians(angle / 2)))
        counts += seen
    return counts, (low[0], low[0] + cell * len(across), low[1], low[1] + cell * len(along))


def write_map(
    path: Path,
    scan: Scan,
    angle: float,
    view_distance: float,
    wrong: Sequence[int] = (),
    walls: np.ndarray | None = None,
    unit: str = "length units",
) -> None:
    """Draw a scan from above into a PNG file: spots, headings, coverage, and views that disagree with their poses.

    Args:
        path: file to write.
        scan: to draw.
        angle: horizontal field of view in degrees.
        view_distance: up to which a view shows the scene; the coverage counts at most twice the spacing of spots.
        wrong: views that are marked.
        walls: [m, 4], x and z of both ends, where they are known.
        unit: name of the unit of length.
    """
    from matplotlib.figure import Figure

    nearest = spot_distances(scan.poses)
    spacing = float(np.median(nearest)) if len(nearest) else view_distance / 2
    reach = min(view_distance, 2 * spacing)
    counts, limits = coverage(scan.poses, angle, reach, reach)
    sides = limits[1] - limits[0], limits[3] - limits[2]
    figure = Figure(figsize=(9.0, max(3.5, min(14.0, 8.0 * sides[1] / sides[0] + 1.0))), layout="constrained")
    axes = figure.add_subplot()
    drawn = axes.imshow(counts, origin="lower", extent=limits, cmap="YlGnBu", vmin=0, vmax=max(4, int(counts.max())))
    figure.colorbar(
        drawn, ax=axes, shrink=0.7, label=f"spots within {reach:.3g} {unit} that look this way, walls left out"
    )
    if walls is not None and len(walls):
        axes.plot(walls[:, [0, 2]].T, walls[:, [1, 3]].T, color="0.35", linewidth=0.8)
    spots, headings = scan.poses[:, [0, 2], 3], scan.poses[:, [0, 2], 2]
    right = np.setdiff1d(np.arange(len(scan)), list(wrong))
    for views, colour in ((right, "black"), (np.array(wrong, dtype=int), "red")):
        if len(views):
            axes.quiver(
                *spots[views].T, *headings[views].T, color=colour, angles="xy", scale_units="xy", width=0.0018,
                scale=2.2 / spacing, headwidth=4, zorder=4 if colour == "red" else 3,
            )  # fmt: skip
    for view in wrong:
        axes.annotate(str(view), spots[view], color="red", xytext=(4, 4), textcoords="offset points", zorder=5)
    axes.set(xlim=limits[:2], ylim=limits[2:], aspect="equal", xlabel=f"x ({unit})", ylabel=f"z ({unit})")
    axes.set_title(f"{len(scan)} views" + (f", {len(wrong)} disagree with their poses (red)" if len(wrong) else ""))
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100, bbox_inches="tight")
