"""Draw the figures of the pages: docs/images/{concepts,context,dataflow}.png.

python scripts/draw_figures.py            # all of them
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
SINK, RETRIEVED, WINDOW, CURRENT, REST = "#d9a441", "#e8c98c", "#7fb2d9", "#d4574e", "#e3e3e3"
DARK, GREY = "#222222", "#777777"


def canvas(width: float, height: float, columns: float, rows: float) -> tuple[plt.Figure, Axes]:
    """Make a figure [inches] whose axes are drawn on in units of columns and rows, from the top left corner."""
    figure, axes = plt.subplots(figsize=(width, height))
    axes.set(xlim=(0, columns), ylim=(rows, 0))
    axes.set_axis_off()
    figure.subplots_adjust(left=0.01, right=0.99, top=0.99, bottom=0.01)
    return figure, axes


def text(axes: Axes, x: float, y: float, words: str, size: float = 9, **options: object) -> None:
    """Write ``words`` with their middle at (x, y)."""
    axes.text(x, y, words, **{"size": size, "ha": "center", "va": "center", "color": DARK, **options})


def cell(axes: Axes, x: float, y: float, width: float, height: float, colour: str, words: str = "") -> None:
    """Draw a latent or a frame."""
    axes.add_patch(Rectangle((x, y), width, height, facecolor=colour, edgecolor=DARK, linewidth=0.7))
    text(axes, x + width / 2, y + height / 2, words, 7.5)


def box(axes: Axes, x: float, y: float, width: float, height: float, title: str, words: str, colour: str) -> None:
    """Draw a stage: its title above what it does."""
    style = "round,pad=0,rounding_size=0.15"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=colour, edgecolor=DARK, lw=0.8))
    text(axes, x + width / 2, y + 0.32, title, 9, weight="bold")
    text(axes, x + width / 2, y + 0.32 + (height - 0.32) / 2, words, 7.5)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], bend: float = 0.0) -> None:
    """Draw an arrow, bent to one side by a share of its length."""
    style = f"arc3,rad={bend}"
    patch = FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, color=DARK, lw=1, connectionstyle=style)
    axes.add_patch(patch)


def brace(axes: Axes, first: float, last: float, y: float, words: str, colour: str = DARK, up: bool = False) -> None:
    """Draw a bracket from x = first to last, with words below it or above."""
    tip = -0.15 if up else 0.15
    axes.plot([first, first, last, last], [y, y + tip, y + tip, y], color=colour, lw=1.2)
    text(axes, (first + last) / 2, y + (-0.42 if up else 0.42), words, 8.5, color=colour)


def concepts() -> plt.Figure:
    """Draw latent, chunk, context and step, with the budgets of freedoom's preset ``all``."""
    figure, axes = canvas(10, 4.4, 28, 11.6)
    colours = [REST] * 24
    colours[0], colours[3], colours[4], colours[7], colours[20:24] = SINK, SINK, RETRIEVED, RETRIEVED, [WINDOW] * 4
    text(axes, 0.2, 1.0, "frames of the video: what the agent sees", ha="left", weight="bold")
    text(axes, 0.2, 3.9, "latents: what the model attends to", ha="left", weight="bold")
    for index in range(28):
        new = index >= 24
        cell(axes, index + 0.08, 1.5, 0.84, 0.9, "white" if not new else "#f7dcd9", "")
        cell(axes, index + 0.08, 4.4, 0.84, 1.0, CURRENT if new else colours[index], str(index))
    for index in (9, 17, 26):
        arrow(axes, (index + 0.5, 4.35), (index + 0.5, 2.45))
    text(axes, 10.0, 3.3, "decode", 8, ha="left", color=GREY)
    for chunk in range(7):
        last = chunk == 6
        brace(axes, 4 * chunk + 0.1, 4 * chunk + 3.9, 5.5, f"chunk {chunk}" if not last else "chunk 6: being made",
              CURRENT if last else GREY)  # fmt: skip
    brace(axes, 0.1, 3.9, 6.6, "sink", "#a5761c")
    brace(axes, 4.1, 7.9, 6.6, "retrieved latents", "#a5761c")
    brace(axes, 20.1, 23.9, 6.6, "recent window", "#2f6ea3")
    axes.plot([0.1, 23.9], [7.55, 7.55], color=DARK, lw=1.2)
    text(axes, 14, 7.95, "context of chunk 6: the latents that the model attends to", 9, weight="bold")
    text(axes, 0.2, 9.1, "denoising\nsteps", ha="left", weight="bold")
    shades = ("#bdbdbd", "#c9a19e", "#cf8a85", "#d2716a", CURRENT)
    for step, shade in enumerate(shades):
        x = 4.3 + 5.0 * step
        for latent in range(4):
            cell(axes, x + 0.62 * latent, 8.8, 0.58, 0.8, shade)
        if step < 4:
            arrow(axes, (x + 2.6, 9.2), (x + 4.9, 9.2))
            text(axes, x + 3.75, 8.75, f"step {step + 1}", 8, color=GREY)
    text(axes, 5.5, 10.0, "noise", 8, color=GREY)
    text(axes, 25.5, 10.0, "latents 24 to 27", 8, color=GREY)
    text(
        axes, 14, 10.9, "One environment step = one action = one chunk. One denoising step = one call of the model.", 9
    )
    return figure


def context() -> plt.Figure:
    """Draw the context of one chunk under ``off`` and under ``all``: sink, retrieved, window, current."""
    figure, axes = canvas(10, 4.0, 47, 11.2)
    rows = (
        ("off", 1.6, {**dict.fromkeys(range(4), SINK), **dict.fromkeys(range(12, 16), RETRIEVED)}, range(28, 40)),
        ("all", 6.1, {**dict.fromkeys((0, 3), SINK), **dict.fromkeys((12, 15), RETRIEVED)}, range(36, 40)),
    )
    for name, y, old, window in rows:
        text(axes, 1.2, y + 0.5, name, 12, weight="bold", family="monospace")
        for index in range(40):
            colour = old.get(index, WINDOW if index in window else "white")
            cell(axes, 2.7 + index, y, 0.9, 1.0, colour, str(index) if colour != "white" else "")
        for index in range(40, 44):
            cell(axes, 2.7 + index, y, 0.9, 1.0, CURRENT, str(index))
        brace(axes, 2.7 + window[0], 2.7 + 39.9, y + 1.1, f"recent window, {len(window)}", "#2f6ea3")
        brace(axes, 2.7 + 40, 2.7 + 43.9, y - 0.1, "current, 4", CURRENT, up=True)
        retrieved = list(old.values()).count(RETRIEVED)
        brace(axes, 2.7 + 12, 2.7 + 15.9, y + 1.1, f"retrieved, {retrieved}", "#a5761c")
    brace(axes, 2.7, 2.7 + 3.9, 2.7, "sink, 4", "#a5761c")
    brace(axes, 2.7, 2.7 + 3.9, 7.2, "sink, 2", "#a5761c")
    text(axes, 20.0, 0.45, "Chunk 10 of an episode in freedoom: 40 finished latents, of which the model attends to the "
         "coloured ones", 9)  # fmt: skip
    text(axes, 20.0, 3.95, "20 context latents, 4 denoising steps in every chunk", 9)
    text(axes, 20.0, 8.45, "8 context latents, 6 where no group adds enough; 2 denoising steps in a revisit, else 4",
         9)  # fmt: skip
    for x, colour, words in (
        (2.7, SINK, "sink: start of the episode"),
        (13.0, RETRIEVED, "retrieved by view overlap"),
        (23.5, WINDOW, "recent window"),
        (31.0, CURRENT, "current chunk"),
        (38.0, "white", "not attended to"),
    ):
        cell(axes, x, 9.6, 0.9, 0.9, colour)
        text(axes, x + 1.3, 10.05, words, 8.5, ha="left")
    return figure


def dataflow() -> plt.Figure:
    """Draw one step of the environment, as data flows through the packages."""
    figure, axes = canvas(10, 5.2, 20, 10.6)
    bands = ((0.3, 2.4, "li_env", "#eef4ea"), (2.75, 4.95, "li_env.accel", "#eaf1f8"), (7.85, 2.4, "world", "#fbeeec"))
    for y, height, name, colour in bands:
        axes.add_patch(Rectangle((0.2, y), 19.6, height, facecolor=colour, edgecolor="none"))
        text(axes, 0.4, y + height - 0.22, name, 8.5, ha="left", family="monospace", color=GREY)
    box(axes, 0.8, 0.6, 3.2, 1.5, "ActionMapper", "action -> camera motion\nof every latent", "white")
    box(axes, 7.3, 0.6, 3.6, 1.5, "Task", "pose, seen area ->\nreward, end, sensors", "white")
    box(axes, 15.4, 0.6, 3.6, 1.5, "Observation", "frames uint8 [T, H, W, 3]\nflat info", "white")
    box(axes, 0.8, 3.1, 3.2, 1.7, "motion", "realised motion;\nposes [n, 4, 4]", "white")
    box(
        axes,
        5.2,
        3.1,
        5.4,
        1.7,
        "Planner",
        "recent window, retrieved latents,\ndenoising steps, attention (poses only)",
        "white",
    )
    box(axes, 5.2, 5.5, 3.6, 1.7, "ChunkPlan", "decision record,\nno tensors", "#ffffff")
    box(axes, 10.2, 5.5, 3.9, 1.7, "ChunkRequest", "context latents, poses,\nnoise, plan", "white")
    box(axes, 15.2, 4.2, 3.9, 1.9, "History", "latents, poses, motions;\nappend-only, forks share it", "white")
    box(axes, 0.8, 8.1, 3.2, 1.75, "feasible_motions", "walls", "white")
    box(
        axes, 8.2, 8.1, 5.2, 1.75, "generate", "context pass, then the denoising\nsteps of the plan -> latents", "white"
    )
    box(axes, 15.2, 8.1, 3.9, 1.75, "decode", "latents -> frames,\nstreaming", "white")
    arrow(axes, (2.4, 2.1), (2.4, 3.05))
    arrow(axes, (2.1, 4.85), (2.1, 8.05))
    arrow(axes, (2.7, 8.05), (2.7, 4.85))
    arrow(axes, (4.0, 3.95), (5.15, 3.95))
    arrow(axes, (7.0, 4.85), (7.0, 5.45))
    arrow(axes, (8.8, 6.35), (10.15, 6.35))
    arrow(axes, (15.15, 5.3), (13.4, 5.45), 0.1)
    arrow(axes, (15.15, 4.6), (10.65, 3.95), 0.05)
    arrow(axes, (11.6, 7.25), (11.2, 8.05))
    arrow(axes, (13.45, 8.9), (15.15, 8.9))
    arrow(axes, (13.3, 8.05), (16.4, 6.15), 0.15)
    arrow(axes, (19.3, 8.05), (19.3, 2.0), 0.0)
    arrow(axes, (8.6, 3.05), (8.8, 2.15))
    text(axes, 9.0, 2.55, "poses, plan", 8, color=GREY, ha="left")
    text(axes, 16.3, 7.2, "latents", 8, color=GREY, ha="left")
    text(axes, 19.1, 3.4, "frames", 8, color=GREY, ha="right")
    return figure


FIGURES: dict[str, Callable[[], plt.Figure]] = {"concepts": concepts, "context": context, "dataflow": dataflow}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, draw in FIGURES.items():
        figure = draw()
        figure.savefig(FOLDER / f"{name}.png", dpi=120, metadata={"Software": None})
        plt.close(figure)
