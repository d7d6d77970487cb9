"""Plot and side-by-side picture of the measurement."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from li_env.evaluation.fidelity.pictures import sheet, shown_latents
from li_env.evaluation.fidelity.settings import CHUNK
from li_env.evaluation.world.frame_scores import RANGES
from li_env.evaluation.world.store import find_row
from li_env.files import atomic_write
from li_env.tensor_files import open_tensors, write_tensors


class ShownFrames:
    """Frames of the side-by-side picture, kept in a file until every walk is there.

    Args:
        path: of the file, safetensors.
        length: frames of a walk.
        keep: whether frames of an earlier run are used.
    """

    def __init__(self, path: Path, length: int, keep: bool) -> None:
        self._path, self._latents = path, shown_latents(length)
        self._frames: dict[str, np.ndarray] = {}
        if keep and path.is_file():
            file = open_tensors(path, "np")
            self._frames = {name: file.get_tensor(name) for name in list(file.keys())}

    def add(self, pictures: Mapping[str, np.ndarray]) -> None:
        """Keep what the picture shows of new frames uint8 [n, L, H, W, 3] by name."""
        new = {name: frames[:, self._latents] for name, frames in pictures.items() if name not in self._frames}
        if new:
            self._frames.update({name: np.ascontiguousarray(frames) for name, frames in new.items()})
            write_tensors(self._path, self._frames)

    def draw(self, path: Path) -> bool:
        """Write the picture as PNG: game, no scan, then the scans; tell whether there was anything to show."""
        if not self._frames:
            return False
        names = sorted(self._frames, key=lambda name: (name != "game", name != "no scan", name))
        titles = ["start" if latent == 0 else f"chunk {latent // CHUNK + 1}" for latent in self._latents]
        with atomic_write(path) as file:
            file.write_bytes(sheet({name: self._frames[name] for name in names}, titles))
        return True

    def forget(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)


def place_of(scan: float | None) -> str:
    """Return the name of a scan in plots and tables."""
    return "no scan" if scan is None else f"scan {scan:g} m"


def write_plot(report: Mapping[str, Any], path: Path) -> None:
    """Plot quality over chunks, the spacings of scans beside each other, and the pose error over steps, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 8.5), layout="constrained")
    FigureCanvasAgg(figure)  # no display, no global state
    axes = figure.subplots(2, 3)
    settings = report["settings"]
    scans, presets = [None, *settings["spacings"]], settings["presets"]
    for axis, (measure, title) in zip(
        axes.flat[:3], {"psnr": "PSNR (dB)", "layout": "layout", "sharpness": "sharpness"}.items(), strict=True
    ):
        for scan in scans:
            for preset in presets:
                row = find_row(report, "walks", preset=preset, scan=scan, start="picture")
                if row is not None:
                    _line(axis, row["by_chunk"][measure]["mean"], _label(preset, scan), preset != presets[0])
        _finish(axis, f"own walks: {title}", "chunk")
    _spacings(axes[1, 0], report, scans, presets)
    for axis, kind in ((axes[1, 1], "free"), (axes[1, 2], "walls")):
        for scan in scans:
            row = find_row(report, "paths", preset=presets[0], scan=scan, kind=kind)
            if row is not None:
                colour = _line(axis, row["by_step"]["median"], _label(presets[0], scan), False)
                low, high = (row["by_step"][name] for name in ("q25", "q75"))
                axis.fill_between(np.arange(1, len(low) + 1), low, high, color=colour, alpha=0.12, linewidth=0)
        words = "that no wall shortens" if kind == "free" else "with bumps into walls"
        _finish(axis, f"pose error (m), commands {words}", "step of the environment; median, quartiles")
    count = settings["trajectories"]
    figure.suptitle(f"{settings['world']} against the game, {settings['split']} maps, {count} walks of every kind")
    with atomic_write(path) as file:
        figure.savefig(file, dpi=100, format="png")


def _spacings(axis: Any, report: Mapping[str, Any], scans: list[float | None], presets: list[str]) -> None:
    """Draw a group of columns per range of chunks, one column per scan."""
    width = 0.8 / len(scans)
    for number, scan in enumerate(scans):
        row = find_row(report, "walks", preset=presets[0], scan=scan, start="picture")
        if row is None:
            continue
        found = [row["ranges"][name] for name in RANGES]
        heights = [0.0 if entry is None else entry["psnr"]["mean"] for entry in found]
        spread = [0.0 if entry is None else entry["psnr"]["std"] for entry in found]
        places = np.arange(len(RANGES)) + (number - (len(scans) - 1) / 2) * width
        axis.bar(places, heights, width, yerr=spread, label=place_of(scan), capsize=2)
    axis.set_xticks(np.arange(len(RANGES)), [f"chunks {name}" for name in RANGES])
    axis.set_ylim(bottom=10)
    _finish(axis, f"spacings of scans, preset {presets[0]}: PSNR (dB)", "")


def _label(preset: str, scan: float | None) -> str:
    return f"{place_of(scan)}, {preset}"


def _line(axis: Any, values: list[float | None], label: str, dashed: bool) -> Any:
    numbers = np.array([np.nan if value is None else value for value in values])
    (line,) = axis.plot(np.arange(1, len(numbers) + 1), numbers, label=label, linestyle="--" if dashed else "-")
    return line.get_color()


def _finish(axis: Any, title: str, below: str) -> None:
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(below)
    axis.grid(alpha=0.3)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=7)
    else:
        axis.text(0.5, 0.5, "not measured", ha="center", transform=axis.transAxes)
