"""Tables of the report in a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

_HEALTH = ("saturated", "constant", "not_finite", "collapsed")
_REACHED = {"aim": "stretch", "must": "required", "no": "no", None: "-"}
_TITLES = {"psnr": "PSNR, dB", "ssim": "SSIM", "sharpness": "sharpness", "share": "share of pixels"}


def print_report(report: dict[str, Any], console: Console) -> None:
    """Print the targets, then one table per part of the report."""
    _targets(report, console)
    _next_chunk(report, console)
    _own_rollouts(report, console)
    _revisits(report, console)
    _motion(report, console)


def _targets(report: dict[str, Any], console: Console) -> None:
    table = Table("target", "value", "required", "stretch", "reached", title="targets (held-out maps)")
    for row in report["bars"]:
        sign = "<=" if row["sense"] == "at most" else ">="
        unit = "" if row["unit"] in ("ratio", "share") else f" {row['unit']}"
        value = "not measured" if row["value"] is None else f"{row['value']:.2f}{unit}"
        table.add_row(row["bar"], value, f"{sign} {row['must']:g}", f"{sign} {row['aim']:g}", _REACHED[row["reached"]])
    console.print(table)


def _next_chunk(report: dict[str, Any], console: Console) -> None:
    table = Table("place", "kind", "method", "PSNR dB", "SSIM", "sharpness", title="next chunk after a real past")
    for row in report["next_chunk"]:
        method = row["method"] if row["steps"] is None else _variant(row)
        table.add_row(row["place"], row["kind"], method, _of(row, "psnr", 1), _of(row, "ssim"), _of(row, "sharpness"))
    table.caption = "mean ± standard deviation over trajectories"
    console.print(table)


def _own_rollouts(report: dict[str, Any], console: Console) -> None:
    chunks = [chunk for chunk in (1, 2, 4, 8, 16, 32) if chunk <= report["settings"]["chunks"]]
    names = [f"chunk {chunk}" for chunk in chunks]

    def values(row: dict[str, Any], measure: str, digits: int) -> list[str]:
        return [_number(row[measure]["mean"][chunk - 1], digits) for chunk in chunks]

    for measure, digits in (("psnr", 1), ("ssim", 2), ("sharpness", 2)):
        table = Table("place", "kind", "variant", *names, title=f"own rollouts: {_TITLES[measure]}")
        for row in report["own_rollouts"]:
            table.add_row(row["place"], row["kind"], _variant(row), *values(row, measure, digits))
        console.print(table)
    table = Table("kind", "pixels", "measure", *names, title="own rollouts with memory, pixels apart (held-out maps)")
    shipped = min(row["steps"] for row in report["own_rollouts"])
    for row in report["own_rollouts"]:
        if "psnr/seen" in row and row["memory"] and row["steps"] == shipped:
            for pixels in ("start", "seen", "unseen"):
                for measure, digits in (("share", 2), ("psnr", 1), ("sharpness", 2)):
                    name = f"{measure}/{pixels}"
                    table.add_row(row["kind"], pixels, _TITLES[measure], *values(row, name, digits))
    table.caption = "start: seen in the start frame; seen: in any real frame before the chunk"
    console.print(table)
    table = Table("place", "kind", "variant", *_HEALTH, "brightness drift, last chunk", title="health of own rollouts")
    table.caption = "shares of all generated frames; collapsed: any of the three where the game's frame is not; levels"
    for row in report["own_rollouts"]:
        shares = [_number(_mean(row[sign]["mean"]), 3) for sign in _HEALTH]
        drift = _number(row["brightness"]["mean"][-1], 1)
        table.add_row(row["place"], row["kind"], _variant(row), *shares, drift)
    console.print(table)


def _revisits(report: dict[str, Any], console: Console) -> None:
    table = Table("kind", "first look", "memory", "to game", "only memory", "to first look", "sharpness")
    table.title = "revisits: the generated second look, PSNR in dB"
    table.caption = "only memory: frames whose first look has left the recent window; so is to first look"
    for row in report["revisits"]:
        first = _of(row, "psnr_first_look/memory", 1) if "psnr_first_look/memory" in row else "-"
        memory = "yes" if row["memory"] else "no"
        scores = (_of(row, "psnr", 1), _of(row, "psnr/memory", 1), first, _of(row, "sharpness"))
        table.add_row(row["kind"], row["first_look"], memory, *scores)
    console.print(table)


def _motion(report: dict[str, Any], console: Console) -> None:
    motion = report["motion"]
    table = Table("measure", "value", title=f"motion: {motion['motions']} commands on held-out maps")
    for key, value in motion.items():
        if key != "motions":
            table.add_row(key.replace("_", " "), _number(value, 3))
    console.print(table)


def _variant(row: dict[str, Any]) -> str:
    return f"{row['steps']} steps" + ("" if row["memory"] else ", no memory")


def _of(row: dict[str, Any], measure: str, digits: int = 2) -> str:
    entry = row[measure]
    return "-" if entry["mean"] is None else f"{entry['mean']:.{digits}f} ± {entry['std']:.{digits}f}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
