"""Plot and side-by-side picture of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from li_env.evaluation.fidelity.reference_videos import HELD_OUT
from li_env.evaluation.fidelity.settings import CHUNK

_COLUMNS = 10
_LABEL_WIDTH, _GAP = 118, 3
_PIXELS = {"start": "seen in the start frame", "seen": "seen in a frame before", "unseen": "unseen"}


def shown_latents(length: int) -> list[int]:
    """Choose the frames of ``length`` that the picture shows: the start, then at growing steps up to the last."""
    wanted = np.round(np.geomspace(2, length, _COLUMNS)).astype(int) - 1
    return sorted({0, *wanted.tolist()})[: _COLUMNS + 1]


def side_by_side(pictures: Mapping[str, np.ndarray]) -> bytes:
    """Draw one line of frames per trajectory and name of ``pictures`` (uint8 [n, L, H, W, 3]); return PNG data."""
    latents = shown_latents(next(iter(pictures.values())).shape[1])
    titles = ["start" if latent == 0 else f"chunk {latent // CHUNK + 1}" for latent in latents]
    return sheet({name: frames[:, latents] for name, frames in pictures.items()}, titles)


def sheet(pictures: Mapping[str, np.ndarray], titles: Sequence[str]) -> bytes:
    """Draw one line of frames per trajectory and name of ``pictures``; return PNG data.

    Args:
        pictures: uint8 [n, k, H, W, 3] by name.
        titles: one per column, k of them.
    """
    names = list(pictures)
    count, _, height, width = pictures[names[0]].shape[:4]
    lines = []
    for row in range(count):
        for name in names:
            label = np.full((height, _LABEL_WIDTH, 3), 255, np.uint8)
            _write(label, [*name.split(", ")])
            cells = [label, *pictures[name][row]]
            edge = ((0, _GAP), (0, _GAP), (0, 0))
            lines.append(np.hstack([np.pad(cell, edge, constant_values=255) for cell in cells]))
        lines.append(np.full((2 * _GAP, lines[0].shape[1], 3), 255, np.uint8))
    top = np.full((16, lines[0].shape[1], 3), 255, np.uint8)
    for column, text in enumerate(titles):
        left = _LABEL_WIDTH + _GAP + column * (width + _GAP)
        cv2.putText(top, text, (left + 2, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    image = cv2.cvtColor(np.vstack([top, *lines]), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".png", image)[1].tobytes())


def _write(image: np.ndarray, lines: list[str]) -> None:
    for number, text in enumerate(lines):
        corner = (4, 20 + 18 * number)
        cv2.putText(image, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)


def write_plot(report: Mapping[str, Any], path: Path) -> None:
    """Plot own walks by chunk (PSNR, SSIM, sharpness; seen and unseen pixels) and second looks by chunk, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 8), layout="constrained")
    FigureCanvasAgg(figure)  # no display, no global state
    axes = figure.subplots(2, 3)
    walks = [row for row in report["own_rollouts"] if row["place"] == HELD_OUT and row["kind"] == "walk"]
    titles = {"psnr": "PSNR to the game (dB)", "ssim": "SSIM to the game", "sharpness": "sharpness, generated / game"}
    for axis, (measure, title) in zip(axes[0], titles.items(), strict=True):
        for row in walks:
            label = f"{row['steps']} steps" + ("" if row["memory"] else ", no memory")
            _line(axis, row[measure]["mean"], label, spread=row[measure]["std"] if row["memory"] else None)
        axis.set_title(f"own walks: {title}")
    main = next(row for row in walks if row["memory"])
    for axis, measure in ((axes[1, 0], "psnr"), (axes[1, 1], "sharpness")):
        for name, label in _PIXELS.items():
            if f"{measure}/{name}" in main:
                _line(axis, main[f"{measure}/{name}"]["mean"], label)
        axis.set_title(f"own walks, {main['steps']} steps, by pixel: {titles[measure]}")
    for row in report["revisits"]:
        if row["first_look"] == "real":
            label = row["kind"] + ("" if row["memory"] else ", no memory")
            _line(axes[1, 2], row["psnr_by_chunk"], label, dashed=not row["memory"])
    axes[1, 2].set_title("second looks after a real first look: PSNR (dB)")
    for axis in axes.flat:
        axis.set_xlabel("chunk")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    count = report["settings"]["trajectories"]
    figure.suptitle(f"freedoom world against the game, held-out maps ({count} trajectories)")
    figure.savefig(path, dpi=100)


def _line(
    axis: Any, values: list[float | None], label: str, spread: list[float | None] | None = None, dashed: bool = False
) -> None:
    chunks = np.arange(1, len(values) + 1)
    means = np.array([np.nan if value is None else value for value in values])
    (line,) = axis.plot(chunks, means, label=label, linestyle="--" if dashed else "-")
    if spread is not None:
        widths = np.array([np.nan if value is None else value for value in spread])
        axis.fill_between(chunks, means - widths, means + widths, color=line.get_color(), alpha=0.12, linewidth=0)
