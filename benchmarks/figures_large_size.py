"""Figures about the large size of the freedoom world: its training, its distance to the game, its attention."""

from __future__ import annotations

import json
import re
from typing import Any

from figure_tools import FigureError, Recorded, figure, paragraph, table, whole

from li_env.evaluation.world.tables import markdown
from li_env.evaluation.world.targets import targets

WORLD, SPARSE, LOG = (f"freedoom_large/{name}" for name in ("world.json", "sparse.json", "log.jsonl"))

CROSSOVER = "freedoom_large/crossover.txt"
"""What `li-env calibrate attention` printed."""

CROSSOVER_ROW = re.compile(r"^│\s*(\d+)\s*│\s*([\d.]+)\s*│\s*([\d.]+)\s*│$", re.MULTILINE)
"""Row of its table: context latents, milliseconds of a chunk with dense and with block-sparse attention."""


@figure("large.table")
def large_table(recorded: Recorded) -> str:
    """Tabulate the targets that were measured."""
    lines = markdown(recorded.get(WORLD)).splitlines()
    return "\n".join(line for line in lines if "| - | - |" not in line)


@figure("large.training")
def large_training(recorded: Recorded) -> str:
    """Say how long each part of the training took, and what the dynamics learned."""
    rows = _log(recorded)
    rendered = next(row for row in rows if row["stage"] == "render")
    dynamics = [row for row in rows if row["stage"] == "dynamics"]
    ended = next(row for row in dynamics if "final" in row)
    tenth = next(row for row in dynamics if row.get("step") == 10)
    motion = next(row for row in rows if row["stage"] == "motion" and "final" in row)
    return paragraph(
        f"""{whole(rendered["frames"])} frames were rendered in {rendered["seconds"]:.0f} s. The dynamics got 330 s and
        made {ended["step"]} steps of 64 walks: {100 * tenth["fraction"]:.0f} % of that time was gone after step 10, on
        compiling for every length of the context and on a host that had other work. The motion head made
        {whole(motion["step"])} steps in 35 s. With measuring and packing the run took 465 s."""
    )


@figure("large.learned")
def large_learned(recorded: Recorded) -> str:
    """Tabulate the validation maps before and after the dynamics."""
    begun, ended = (next(row for row in _log(recorded) if row["stage"] == "dynamics" and key in row)
                    for key in ("start", "final"))  # fmt: skip
    names = {
        "next chunk after a real past": "next",
        "own walk, chunk 1": "own1",
        "own walk, chunk 2": "own2",
        "own walk, chunk 16": "own16",
        "in a scan, chunks 1-9": "grounded1_9",
        "in a scan, chunk 16": "grounded16_16",
    }
    rows = [
        (label, *(f"{row[f'4step_{name}_psnr']:.1f} dB, {row[f'4step_{name}_sharp']:.2f}" for row in (begun, ended)))
        for label, name in names.items()
    ]
    return table(("PSNR, sharpness", "weights of the small size", f"after {ended['step']} steps"), rows)


@figure("large.crossover")
def large_crossover(recorded: Recorded) -> str:
    """Tabulate dense and block-sparse attention over the length of the context."""
    return table(("context latents", "dense, ms per chunk", "block-sparse, ms per chunk"), _crossover(recorded))


@figure("large.sparse")
def large_sparse(recorded: Recorded) -> str:
    """Tabulate block-sparse attention over the retained ratio."""
    found = recorded.get(SPARSE, "rows")

    def cells(row: dict[str, Any]) -> tuple[str, ...]:
        psnr = "" if row["pooled_psnr"] is None else f"{row['pooled_psnr']:.1f} dB"
        return f"{100 * row['attention_density']:.0f} %", psnr, f"{row['milliseconds']:.1f}"

    names = ["dense", *(name for name in found if name.startswith("both")), "bsa", "svg"]
    rows = [
        (name.replace("both ", "tiles kept: ") if name.startswith("both") else name, *cells(found[name]))
        for name in names
    ]
    return table(("attention", "density", "PSNR to dense attention, pooled", "ms per chunk and episode"), rows)


@figure("large.shapes")
def large_shapes(recorded: Recorded) -> str:
    """Compare the shapes of tiles."""
    found = recorded.get(SPARSE, "rows")
    shapes = sorted({name.split()[1] for name in found if name.startswith("tiles ")})

    def words(ratio: str) -> str:
        own = found[f"both {ratio}"]["pooled_psnr"]
        others = ", ".join(f"{found[f'tiles {shape} {ratio}']['pooled_psnr']:.1f} dB ({shape})" for shape in shapes)
        return f"{own:.1f} dB ({recorded.get(SPARSE, 'tile_shape')}), {others}"

    return paragraph(f"Shapes of tiles (latents x rows x columns): at 0.175 {words('0.175')}; at 0.5 {words('0.5')}.")


@figure("large.short")
def large_short(recorded: Recorded) -> str:
    """Say in two sentences what the first training reached, and what attention takes."""
    report = recorded.get(WORLD)
    off = {each.name: each.value for each in targets(report, "off")}
    _, dense, sparse = (list(map(float, column)) for column in zip(*_crossover(recorded), strict=True))
    return paragraph(
        f"""On {report["settings"]["trajectories"]} test maps it reached {off["next chunk after a real past, walk"]:.1f}
        dB in the next chunk, {off["scan of 2.5 m: chunks 1-9"]:.1f} dB in a scan of 2.5 m and a sharpness of
        {off["sharpness of an own walk, chunk 2"]:.2f} and {off["sharpness of an own walk, chunk 16"]:.2f} in chunks 2
        and 16 of an own walk: softer than the small size. Block-sparse attention never pays at this size either: a
        chunk takes {min(dense):.1f} to {max(dense):.1f} ms with dense attention, whose passes are CUDA graphs, and
        {min(sparse):.0f} to {max(sparse):.0f} ms with block-sparse attention, which the host launches kernel by
        kernel."""
    )


def _crossover(recorded: Recorded) -> list[tuple[str, ...]]:
    """Return the rows of the table that the crossover was read from."""
    return CROSSOVER_ROW.findall(_text(recorded, CROSSOVER))


def _log(recorded: Recorded) -> list[dict[str, Any]]:
    """Return the lines of the training's log."""
    try:
        return [json.loads(line) for line in _text(recorded, LOG).splitlines()]
    except ValueError as error:
        raise FigureError(f"benchmarks/{LOG}: {error}") from None


def _text(recorded: Recorded, name: str) -> str:
    """Return the content of a recorded file that is not one JSON value."""
    try:
        return (recorded.folder / name).read_text(encoding="utf-8")
    except OSError as error:
        raise FigureError(f"benchmarks/{name}: {error}") from None
