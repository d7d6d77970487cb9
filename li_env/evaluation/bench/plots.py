"""Plot of a sweep: quality and time over the values of one key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_sweep(rows: Sequence[Mapping[str, Any]], key: str, trajectory: str, path: Path) -> None:
    """Plot PSNR against the plain model (left axis) and generation time per chunk (right axis), as a PNG.

    Args:
        rows: rows of reports.
        key: the key that was swept; rows of other sweeps and presets are left out.
        trajectory: the rows to show.
        path: path of the PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    chosen = [row for row in rows if row["trajectory"] == trajectory and row["sweep"] and row["sweep"]["key"] == key]
    worlds = list(dict.fromkeys(row["world"] for row in chosen))
    figure = Figure(figsize=(6 * len(worlds), 4), layout="constrained")
    FigureCanvasAgg(figure)  # no display, no global state
    for axis, world in zip(figure.subplots(1, len(worlds), squeeze=False)[0], worlds, strict=True):
        own = [row for row in chosen if row["world"] == world]
        positions = range(len(own))
        decibels = [row["against_off"]["psnr"] for row in own]
        times = [row["milliseconds"]["generate"] for row in own]
        axis.plot(positions, decibels, "o-", color="tab:blue")
        axis.set_ylabel("PSNR against off (dB)", color="tab:blue")
        axis.set_xlabel(key)
        axis.set_xticks(list(positions), [str(row["sweep"]["value"]) for row in own])
        axis.grid(alpha=0.3)
        right = axis.twinx()
        medians = [time["median"] for time in times]
        below = [time["median"] - time["low"] for time in times]
        above = [time["high"] - time["median"] for time in times]
        right.errorbar(positions, medians, yerr=[below, above], fmt="s--", color="tab:red", capsize=3)
        right.set_ylabel("generation per chunk (ms)", color="tab:red")
        right.set_ylim(bottom=0)
        axis.set_title(f"{world}: {own[0]['preset'].split()[0]}, {trajectory}")
    figure.savefig(path, dpi=100, format="png")
