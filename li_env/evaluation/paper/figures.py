"""Figures of the paper as PNG files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from li_env.evaluation.bench.run import EVERY
from li_env.evaluation.paper.methods import ALL, OFF, RATIOS, THRESHOLDS, swept, without
from li_env.files import atomic_write

Row = Mapping[str, Any]

STAGES = (OFF, "context", without("sparse"), ALL)
"""Methods of figure 3: parts switched on one by one."""


def write_figures(report: Mapping[str, Any], out: Path) -> list[str]:
    """Write every figure that the report has data for into ``out``; return the names of the files."""
    rows = {row["preset"]: row for row in report["rows"] if row["trajectory"] == EVERY}
    drawn: dict[str, Callable[[Axes], None] | None] = {
        "figure_2_steps.png": (lambda axis: _steps(axis, report["steps"])) if any(report["steps"].values()) else None,
        "figure_3_stages.png": lambda axis: _stages(axis, [rows[label] for label in STAGES if label in rows]),
        "figure_4_operators.png": lambda axis: _operators(axis, report["operators"]),
        "figure_5_ratio.png": _sweep(rows, "retained_ratio", RATIOS),
        "figure_6_memory_threshold.png": _sweep(rows, "memory_threshold", THRESHOLDS["memory_threshold"]),
        "figure_7_revisit_threshold.png": _sweep(rows, "revisit_similarity", THRESHOLDS["revisit_similarity"]),
        "pareto.png": lambda axis: _pareto(axis, [rows[label] for label in report["table"]]),
    }
    names = []
    for name, draw in drawn.items():
        if draw is None:
            continue
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        FigureCanvasAgg(figure)  # no display, no global state
        axis = figure.subplots()
        draw(axis)
        axis.grid(alpha=0.3)
        with atomic_write(out / name) as file:
            figure.savefig(file, dpi=100, format="png")
        names.append(name)
    return names


def _steps(axis: Axes, changes: Mapping[str, Sequence[Sequence[float]]]) -> None:
    for regime, chunks in changes.items():
        if not chunks:
            continue
        values = np.array(chunks)
        mean, spread = values.mean(0), values.std(0)
        steps = np.arange(1, len(mean) + 1)
        axis.errorbar(steps, mean, yerr=spread, fmt="o-", capsize=3, label=f"{regime} ({len(values)} chunks)")
    axis.set_xticks(steps)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("denoising step")
    axis.set_ylabel("relative L1 to the step before")
    axis.legend()


def _stages(axis: Axes, rows: Sequence[Row]) -> None:
    left = np.zeros(len(rows))
    for stage in ("motion", "plan", "generate", "decode"):
        widths = np.array([row["milliseconds"][stage]["median"] for row in rows])
        axis.barh(range(len(rows)), widths, left=left, label=stage)
        left += widths
    axis.set_yticks(range(len(rows)), [row["preset"] for row in rows])
    axis.invert_yaxis()
    axis.set_xlabel("ms per chunk")
    axis.legend()


def _operators(axis: Axes, times: Mapping[str, Mapping[str, float]]) -> None:
    positions = np.arange(len(times))
    for offset, kind in ((-0.2, "unfused"), (0.2, "fused")):
        known = [(place, each[kind]) for place, each in zip(positions, times.values(), strict=True) if kind in each]
        if known:
            axis.bar([place + offset for place, _ in known], [value for _, value in known], width=0.4, label=kind)
    axis.set_xticks(positions, list(times))
    axis.set_ylabel("ms per call")
    if not any("fused" in each for each in times.values()):
        axis.set_title("fused kernels need a GPU")
    axis.legend()


def _sweep(rows: Mapping[str, Row], key: str, values: Sequence[float]) -> Callable[[Axes], None] | None:
    own = [rows[swept(key, value)] for value in values if swept(key, value) in rows]
    if not own:
        return None

    def draw(axis: Axes) -> None:
        decibels = [row["against_off"]["pooled_psnr"] for row in own]
        work = [(row["steps"], row["context_latents"], row["attention_density"]) for row in own]
        if len(set(work)) == 1 and len(set(decibels)) == 1:
            axis.set_title(f"{key}: nothing changes from {values[0]:g} to {values[-1]:g}")
        axis.plot(values, decibels, "o-", color="tab:blue")
        axis.set_xlabel(key)
        axis.set_ylabel("pooled PSNR to off (dB)", color="tab:blue")
        right = axis.twinx()
        times = [row["milliseconds"]["generate"] for row in own]
        medians = [time["median"] for time in times]
        errors = [[t["median"] - t["low"] for t in times], [t["high"] - t["median"] for t in times]]
        right.errorbar(values, medians, yerr=errors, fmt="s--", color="tab:red", capsize=3)
        right.set_ylabel("generation per chunk (ms)", color="tab:red")
        right.set_ylim(bottom=0)

    return draw


def _pareto(axis: Axes, rows: Sequence[Row]) -> None:
    """Draw speed-up and quality; a method is on the front if none is both faster and nearer to ``off``."""
    points = [
        (row["preset"], row["speed_up"]["median"], row["against_off"]["pooled_psnr"])
        for row in rows
        if row["against_off"]["pooled_psnr"] is not None
    ]
    for label, speed, quality in points:
        beaten = any(other > speed and better > quality for _, other, better in points)
        axis.plot(speed, quality, "o" if beaten else "D", color="tab:gray" if beaten else "tab:red")
        axis.annotate(label, (speed, quality), xytext=(4, 4), textcoords="offset points", fontsize=8)
    axis.axvline(1.0, color="black", linewidth=0.5)
    axis.set_xlabel("speed-up of generation against off")
    axis.set_ylabel("pooled PSNR to off (dB)")
