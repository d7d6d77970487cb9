"""Plot of a sweep: quality and time over the values of one key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from li_env.evaluation.bench.settings import Sweep


def write_sweep(rows: Sequence[Mapping[str, Any]], sweep: Sweep, trajectory: str, path: Path) -> None:
    """Plot PSNR against the plain model (left axis) and generation time per chunk (right axis), as a PNG.

    Where every value gives the same chunks, the plot says so instead of drawing lines.

    Args:
        rows: rows of reports.
        sweep: what was swept; rows of other sweeps and presets are left out.
        trajectory: the rows to show.
        path: path of the PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    chosen = [row for row in rows if row["trajectory"] == trajectory and is_of(row, sweep)]
    worlds = list(dict.fromkeys(row["world"] for row in chosen))
    figure = Figure(figsize=(6 * len(worlds), 4), layout="constrained")
    FigureCanvasAgg(figure)  # no display, no global state
    for axis, world in zip(figure.subplots(1, len(worlds), squeeze=False)[0], worlds, strict=True):
        own = [row for row in chosen if row["world"] == world]
        axis.set_title(f"{world}: {sweep.config.name}, {trajectory}")
        if not changes(own):
            axis.set_axis_off()
            values = ", ".join(str(row["sweep"]["value"]) for row in own)
            axis.text(
                0.5, 0.5, f"nothing changes:\n{sweep.key} = {values}\ngive the same chunks", ha="center", wrap=True
            )
            continue
        positions = range(len(own))
        decibels = [row["against_off"]["psnr"] for row in own]
        times = [row["milliseconds"]["generate"] for row in own]
        axis.plot(positions, decibels, "o-", color="tab:blue")
        axis.set_ylabel("PSNR against off (dB)", color="tab:blue")
        axis.set_xlabel(sweep.key)
        axis.set_xticks(list(positions), [str(row["sweep"]["value"]) for row in own])
        axis.grid(alpha=0.3)
        right = axis.twinx()
        medians = [time["median"] for time in times]
        below = [time["median"] - time["low"] for time in times]
        above = [time["high"] - time["median"] for time in times]
        right.errorbar(positions, medians, yerr=[below, above], fmt="s--", color="tab:red", capsize=3)
        right.set_ylabel("generation per chunk (ms)", color="tab:red")
        right.set_ylim(bottom=0)
    figure.savefig(path, dpi=100, format="png")


def is_of(row: Mapping[str, Any], sweep: Sweep) -> bool:
    """Tell whether a row of a report belongs to a sweep."""
    own = row["sweep"]
    return bool(own) and (own["key"], own["preset"]) == (sweep.key, sweep.config.name)


def changes(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether rows of one world and trajectory differ in what was computed."""
    return any(row["decisions"] != rows[0]["decisions"] for row in rows)
