"""Tables of the paper as a Markdown page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from li_env.evaluation.bench.run import EVERY
from li_env.evaluation.paper.methods import ALL, OFF, PARTS, WITHOUT, without

Row = Mapping[str, Any]


def page(report: Mapping[str, Any], notes: Sequence[str] = ()) -> str:
    """Write the page: three tables, the methods that do not fit, and remarks."""
    rows = {row["preset"]: row for row in report["rows"] if row["trajectory"] == EVERY}
    names = list(rows[OFF]["perceptual"]) or list(next(iter(rows.values()))["perceptual"])
    parts = [OFF, *(name for name in PARTS if name in rows)]
    removed = [OFF, *(without(part) for part in WITHOUT if without(part) in rows), ALL]
    pieces = [
        f"# {report['world']} on {report['device']}",
        f"{rows[OFF]['rollouts']} rollouts of {report['settings']['chunks']} chunks, {report['settings']['repeats']} "
        f"repeats; seconds of generation per rollout, median (least - most). Quality leaves out the first "
        f"{report['warmup_chunks']} chunks. PSNR is pooled: of the mean squared error, not a mean of decibels.",
        "## Table 1: all methods",
        _table([rows[label] for label in report["table"]], names, report["settings"]["chunks"]),
        "## Table 2: each part alone",
        _table([rows[label] for label in parts], names, report["settings"]["chunks"]),
        "## Table 3: one part left out",
        _table([rows[label] for label in removed], names, report["settings"]["chunks"]),
    ]
    if report["refused"]:
        lines = [f"- `{label}`: {reason}" for label, reason in report["refused"].items()]
        pieces += ["## Methods that do not fit this world", "\n".join(lines)]
    if notes:
        pieces += ["## Remarks", "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(pieces) + "\n"


def _table(rows: Sequence[Row], names: Sequence[str], chunks: int) -> str:
    groups = (("to off", "against_off", "off"), ("one place", "revisits", "revisits"), ("to the game", "game", "game"))
    head = ["method", "seconds", "speed-up", "peak MiB", "steps", "context"]
    for words, _, _ in groups:
        head += [f"PSNR {words}", f"SSIM {words}", *(f"{name} {words}" for name in names)]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        seconds = {key: value * chunks / 1000.0 for key, value in row["milliseconds"]["generate"].items()}
        cells = [
            row["preset"],
            _spread(seconds),
            _spread(row["speed_up"]),
            _number(row["peak_memory_mib"], 0),
            _number(row["steps"], 1),
            _number(row["context_latents"], 1),
        ]
        for _, key, against in groups:
            cells += [_number(row[key]["pooled_psnr"], 2), _number(row[key]["ssim"], 4)]
            cells += [_number(row["perceptual"].get(name, {}).get(against), 4) for name in names]
        lines.append(cells)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _spread(value: Mapping[str, float]) -> str:
    if value["low"] == value["high"]:
        return f"{value['median']:.2f}"
    return f"{value['median']:.2f} ({value['low']:.2f} - {value['high']:.2f})"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
