"""Targets of the freedoom world, and the number of the report that each of them reads.

Their numbers stand in docs/worlds/freedoom.md#how-close-it-comes-to-the-game. All are of held-out maps, with memory,
in the shipped number of steps unless said otherwise:

- next chunk, walk: mean PSNR of the chunk after a real past of the kind ``walk``.
- next chunk, on the return: the same where ``out_and_back`` returns to poses that have left the recent window.
- chunk 16 of an own walk: mean PSNR of the 16th chunk of own rollouts ``walk``; the 1st holds the start frame.
- real first look, generated second: mean PSNR of those frames of the second look that only memory can know, the lower
  one of ``out_and_back`` (8 chunks out) and ``spin``; and how far it lies above the same number without memory, the
  smaller gap of the two.
- sharpness of chunk 2 and chunk 16 of own rollouts ``walk``: gradient energy, generated / real.
- 4 against 16 steps: the largest shortfall of 4 steps, in PSNR and in sharpness, over the next chunk (walk, return)
  and chunks 2 and 16 of own walks. Where 4 steps are better there is no shortfall.
- collapse: share of saturated, constant or not finite frames, where the game's frame is not, in all own rollouts on
  held-out maps.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from li_env.evaluation.fidelity.reference_videos import HELD_OUT
from li_env.evaluation.fidelity.settings import STEPS

NEXT_KINDS = ("walk", "way_back")
CHUNKS = (2, 16)
MOST = "at most"


def targets(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Compare the report with every target.

    Returns:
        rows ``bar`` (name of the target), ``unit``, ``value``, ``must`` (required), ``aim`` (stretch), ``sense`` (``at
        least`` or ``at most``) and ``reached``: ``aim``, ``must`` or ``no``. The keys are those of stored reports.
        Value and reached are None where the report did not measure the number (too few chunks, or no such chunk).
    """
    shipped, fine = STEPS
    revisits = [_revisit(report, kind, memory=True) for kind in ("out_and_back", "spin")]
    blind = [_revisit(report, kind, memory=False) for kind in ("out_and_back", "spin")]
    shortfalls = {
        measure: _largest(
            _difference(found[fine], found[shipped])
            for found in (
                *({steps: _next(report, kind, steps, measure) for steps in STEPS} for kind in NEXT_KINDS),
                *({steps: _own(report, chunk, steps, measure) for steps in STEPS} for chunk in CHUNKS),
            )
        )
        for measure in ("psnr", "sharpness")
    }
    gaps = [_difference(known, unknown) for known, unknown in zip(revisits, blind, strict=True)]
    return [
        _row("next chunk, walk", "dB", _next(report, "walk", shipped, "psnr"), 26.5, 28.5),
        _row("next chunk, way back", "dB", _next(report, "way_back", shipped, "psnr"), 30.0, 31.5),
        _row("chunk 16 of an own walk", "dB", _own(report, 16, shipped, "psnr"), 17.5, 19.0),
        _row("real first look, generated second", "dB", _smallest(revisits), 30.0, 31.5),
        _row("... above no memory", "dB", _smallest(gaps), 6.0, 6.0),
        _row("sharpness, chunk 2", "ratio", _own(report, 2, shipped, "sharpness"), 0.40, 0.60),
        _row("sharpness, chunk 16", "ratio", _own(report, 16, shipped, "sharpness"), 0.20, 0.50),
        _row(f"PSNR of {shipped} steps below {fine}", "dB", shortfalls["psnr"], 1.0, 1.0, MOST),
        _row(f"sharpness of {shipped} steps below {fine}", "ratio", shortfalls["sharpness"], 0.1, 0.1, MOST),
        _row("collapsed frames of own rollouts", "share", _collapsed(report), 0.0, 0.0, MOST),
    ]


def _row(
    name: str, unit: str, value: float | None, required: float, stretch: float, sense: str = "at least"
) -> dict[str, Any]:
    sign = -1.0 if sense == MOST else 1.0
    reached = None
    if value is not None:
        reached = "aim" if sign * value >= sign * stretch else "must" if sign * value >= sign * required else "no"
    return {
        "bar": name, "unit": unit, "value": value, "must": required, "aim": stretch, "sense": sense, "reached": reached,
    }  # fmt: skip


def _find(rows: Iterable[dict[str, Any]], **labels: Any) -> dict[str, Any] | None:
    return next((row for row in rows if all(row.get(key) == value for key, value in labels.items())), None)


def _next(report: dict[str, Any], kind: str, steps: int, measure: str) -> float | None:
    row = _find(report["next_chunk"], place=HELD_OUT, kind=kind, method="world", steps=steps, memory=True)
    return None if row is None else row[measure]["mean"]


def _own(report: dict[str, Any], chunk: int, steps: int, measure: str) -> float | None:
    row = _find(report["own_rollouts"], place=HELD_OUT, kind="walk", steps=steps, memory=True)
    values = [] if row is None else row[measure]["mean"]
    return values[chunk - 1] if len(values) >= chunk else None


def _revisit(report: dict[str, Any], kind: str, memory: bool) -> float | None:
    row = _find(report["revisits"], kind=kind, first_look="real", memory=memory)
    return None if row is None else row["psnr/memory"]["mean"]


def _collapsed(report: dict[str, Any]) -> float | None:
    rows = [row for row in report["own_rollouts"] if row["place"] == HELD_OUT]
    shares = [share for row in rows for share in row["collapsed"]["mean"]]
    return sum(shares) / len(shares) if shares else None


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _smallest(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return min(known) if len(known) == len(values) else None


def _largest(values: Iterable[float | None]) -> float | None:
    """Return the largest measured value, at least 0; None without any."""
    known = [value for value in values if value is not None]
    return max(0.0, *known) if known else None
