"""Tables of the report in a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from li_env.evaluation.part_costs import cost_lines

_QUICK_STAGES = ("motion", "plan", "decode")


def print_report(report: dict[str, Any], console: Console) -> None:
    """Print two tables: cost, and quality of the frames."""
    title = f"{report['world']} on {report['device']}"
    cost = Table(
        "trajectory",
        "preset",
        *(f"{stage} ms" for stage in _QUICK_STAGES),
        "generate ms",
        "speed-up",
        "frames/s",
        "MiB",
    )
    for name in ("explore / revisit", "steps", "context", "sparse"):
        cost.add_column(name)
    made = Table("trajectory", "preset", "PSNR, SSIM to off", "pooled", "revisits", "pairs", "game itself")
    for name in ("PSNR, SSIM to game", "sharpness"):
        made.add_column(name)
    last = None
    for row in report["rows"]:
        if last not in (None, row["trajectory"]):
            cost.add_section()
            made.add_section()
        name = "" if last == row["trajectory"] else row["trajectory"]
        last = row["trajectory"]
        regimes = row["regimes"]
        cost.add_row(
            name,
            row["preset"],
            *(_number(row["milliseconds"][stage]["median"], 1) for stage in _QUICK_STAGES),
            _spread(row["milliseconds"]["generate"], 1),
            _spread(row["speed_up"], 2),
            _number(row["frames_per_second"]["median"], 1),
            _number(row["peak_memory_mib"], 0),
            f"{regimes['explore']:.0%} / {regimes['revisit']:.0%}",
            _number(row["steps"], 1),
            _number(row["context_latents"], 1),
            f"{row['block_sparse_share']:.0%}",
        )
        off, revisits, game = row["against_off"], row["revisits"], row["game"]
        made.add_row(
            name,
            row["preset"] + (" (degenerated)" if row["degenerated"] else ""),
            _pair(off),
            _number(off["pooled_psnr"], 1),
            _pair(revisits),
            str(revisits["pairs"]),
            _number(revisits["game_psnr"], 1),
            _pair(game),
            _number(game["sharpness"], 2),
        )
    cost.title, made.title = f"{title}: cost per chunk", f"{title}: frames"
    cost.caption = (
        f"median (least - most) over repeats; speed-up of generation against off in the same repeat; regimes, steps, "
        f"context latents and share of block-sparse chunks after {report['warmup_chunks']} warm-up chunks; "
        "MiB: peak of GPU tensors, on a CPU of the process"
    )
    made.caption = (
        f"PSNR in dB, pooled: of the mean squared error; the first {report['warmup_chunks']} chunks are left out; "
        f"revisits: frames of one rollout with similar poses, game itself: the same pairs in the game; "
        f"camera path: {report['path']}"
    )
    console.print(cost)
    console.print(made)
    for line in cost_lines(report["world"], report["cost_model"]):
        console.print(line, soft_wrap=True)
    for sweep in report["sweeps"]:
        if not sweep["changes"]:
            values = ", ".join(map(str, sweep["values"]))
            console.print(
                f"sweep of {sweep['key']} in {sweep['preset']}, {report['world']}: nothing changes, {values} give the "
                "same chunks",
                soft_wrap=True,
            )


def _spread(value: dict[str, float], digits: int) -> str:
    if value["low"] == value["high"]:
        return f"{value['median']:.{digits}f}"
    return f"{value['median']:.{digits}f} ({value['low']:.{digits}f} - {value['high']:.{digits}f})"


def _pair(values: dict[str, Any]) -> str:
    return "-" if values["psnr"] is None else f"{values['psnr']:.1f}, {values['ssim']:.3f}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
