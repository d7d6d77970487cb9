"""Targets of a world that is measured with scans, and the numbers of the report that they read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from li_env.evaluation.fidelity.settings import STEPS
from li_env.evaluation.world.frame_scores import RANGES
from li_env.evaluation.world.store import find_row, value_at
from li_env.evaluation.world.walls import THRESHOLDS

AGENTS = ("mapper", "seeker")
"""Agents whose episodes inside the world are compared with those in the game."""

_REVISIT = "real first look, generated second"

_NO_TARGET: tuple[float | None, float | None] = (None, None)
_GROUNDED: dict[float, tuple[float, float]] = {2.5: (25.0, 27.0), 4.0: (23.5, 25.0)}  # dB, by metres between spots
_LASTING: dict[float, tuple[float, float]] = {2.5: (24.0, 26.0)}
_LAYOUT: dict[float, tuple[float, float]] = {2.5: (0.72, 0.82)}


@dataclass(frozen=True)
class Target:
    """One number to reach.

    Attributes:
        name: what is measured.
        unit: of the value.
        value: measured; None where it was not.
        required, stretch: values to reach; None where the value is only measured.
        at_most: whether smaller values are better.
        digits: decimals that are shown.
    """

    name: str
    unit: str
    value: float | None
    required: float | None
    stretch: float | None
    at_most: bool = False
    digits: int = 1

    @property
    def reached(self) -> str:
        """``stretch``, ``required``, ``no``, or ``-`` where there is nothing to compare."""
        if self.value is None:
            return "-"
        sign = -1.0 if self.at_most else 1.0
        for name, wanted in (("stretch", self.stretch), ("required", self.required)):
            if wanted is not None and sign * self.value >= sign * wanted:
                return name
        return "no" if self.required is not None else "-"

    def to_dict(self) -> dict[str, Any]:
        """Return the target as JSON-ready values."""
        return {
            **{name: getattr(self, name) for name in ("name", "unit", "value", "required", "stretch", "at_most")},
            "reached": self.reached,
        }


def targets(report: Mapping[str, Any], preset: str) -> list[Target]:
    """Read the targets of one preset from a report.

    Args:
        report: content of the report file.
        preset: one of its presets.
    """
    first, *others = report["settings"]["spacings"]
    return [
        *_autoencoder(report),
        *_next(report, preset),
        *_walks(report, preset, first, others),
        *_agents(report, preset, first),
        *_health(report, preset, first),
    ]


def targets_by_preset(report: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the targets of every preset of a report, JSON-ready."""
    return {
        preset: [target.to_dict() for target in targets(report, preset)] for preset in report["settings"]["presets"]
    }


def _autoencoder(report: Mapping[str, Any]) -> Iterable[Target]:
    row = find_row(report, "autoencoder")
    yield Target("autoencoder: PSNR", "dB", value_at(row, "psnr", "mean"), 31.8, 32.5)
    yield Target("autoencoder: SSIM", "", value_at(row, "ssim", "mean"), 0.81, 0.83, digits=3)
    yield Target("autoencoder: sharpness", "", value_at(row, "sharpness", "mean"), 0.58, 0.75, digits=2)
    distance = value_at(row, "feature_distance", "mean")
    yield Target("autoencoder: feature distance (Lite2)", "", distance, 0.305, 0.27, True, 3)
    yield Target("autoencoder: Frechet distance (Lite2)", "", value_at(row, "frechet"), 130, 90, True, 0)


def _next(report: Mapping[str, Any], preset: str) -> Iterable[Target]:
    walk, back = (find_row(report, "next", preset=preset, scan=None, kind=kind) for kind in ("walk", "way_back"))
    yield Target("next chunk after a real past, walk", "dB", value_at(walk, "chunk", "psnr", "mean"), 26.3, 27.5)
    yield Target("next chunk, return", "dB", value_at(back, "chunk", "psnr", "mean"), 30.5, 31.5)
    for name, row in (("walk", walk), ("return", back)):
        value = value_at(row, "frames", 0, "psnr", "mean")
        yield Target(f"next frame, teacher-forced, {name}", "dB", value, None, 29.4)


def _walks(report: Mapping[str, Any], preset: str, first: float, others: list[float]) -> Iterable[Target]:
    own, dense = (find_row(report, "walks", preset=preset, scan=scan, start="picture") for scan in (None, first))
    alone, grounded = (value_at(row, "ranges", "16", "psnr", "mean") for row in (own, dense))
    yield Target("chunk 16 of an own walk, no scan", "dB", alone, 17.5, 19)
    name = f"scan of {first:g} m"
    for scan in (first, *others):
        row = find_row(report, "walks", preset=preset, scan=scan, start="picture")
        early, late = (value_at(row, "ranges", chunks, "psnr", "mean") for chunks in ("1-9", "27-31"))
        yield Target(f"scan of {scan:g} m: chunks 1-9", "dB", early, *_GROUNDED.get(scan, _NO_TARGET))
        yield Target(f"scan of {scan:g} m: chunks 27-31", "dB", late, *_LASTING.get(scan, _NO_TARGET))
    beside = find_row(report, "walks", preset=preset, scan=first, start="beside")
    value = value_at(beside, "ranges", "1-9", "psnr", "mean")
    yield Target(f"{name}, start 1.5 m beside the views: chunks 1-9", "dB", value, None, None)
    value = value_at(dense, "ranges", "1-9", "layout", "mean")
    yield Target(f"{name}: layout, chunks 1-9", "", value, *_LAYOUT.get(first, _NO_TARGET), digits=2)
    yield Target(f"{name}: above no scan, chunk 16", "dB", _difference(grounded, alone), 5.0, 5.0)
    looks = next(
        (row["value"] for row in value_at(find_row(report, "fidelity"), "bars") or [] if row["bar"] == _REVISIT), None
    )
    yield Target(_REVISIT, "dB", looks, 31.5, 33)
    for chunk, required, stretch in ((2, 0.55, 0.7), (16, 0.52, 0.6)):
        value = value_at(own, "by_chunk", "sharpness", "mean", chunk - 1)
        yield Target(f"sharpness of an own walk, chunk {chunk}", "", value, required, stretch, digits=2)


def _agents(report: Mapping[str, Any], preset: str, first: float) -> Iterable[Target]:
    for scan, required in ((None, None), (first, 0.3)):
        row = find_row(report, "paths", preset=preset, scan=scan, kind="free")
        name = f"free paths after 32 steps, {'no scan' if scan is None else f'scan of {scan:g} m'}: median error"
        yield Target(name, "m", value_at(row, "after", "32", "median"), required, required, True, 2)
    row = find_row(report, "walls", scan=first)
    for threshold in THRESHOLDS:
        value = value_at(row, f"{threshold:g}", "recall")
        name = f"walls of the scan stop the camera, by more than {threshold:g} m: recall"
        yield Target(name, "", value, 0.95, 0.95, digits=3)
    for agent in AGENTS:
        row = find_row(report, "agents", preset=preset, scan=first, agent=agent)
        same, spl = value_at(row, "same_success"), value_at(row, "spl_difference", "mean")
        yield Target(f"{agent} inside a scan and in the game: same success", "", same, 0.95, 0.95, digits=3)
        value = None if spl is None else abs(spl)
        yield Target(f"{agent}: SPL inside a scan against the game", "", value, 0.05, 0.05, True, 3)


def _health(report: Mapping[str, Any], preset: str, first: float) -> Iterable[Target]:
    for scan in (None, first):
        rows = [find_row(report, "collapse", preset=preset, scan=scan, kind=kind) for kind in ("walk", "mix")]
        measured = [row for row in rows if row is not None]
        place = "no scan" if scan is None else f"scan of {scan:g} m"
        frames = sum(row["frames"] for row in measured)
        value = float(sum(row["collapsed"] for row in measured)) if measured else None
        yield Target(f"collapsed frames of {frames:,}, {place}", "frames", value, 0, 0, True, 0)
    for scan in (None, first):
        few, many = (find_row(report, "steps", preset=preset, scan=scan, steps=steps) for steps in STEPS)
        place = "no scan" if scan is None else f"scan of {scan:g} m"
        for measure, unit, most in (("psnr", "dB", 0.5), ("sharpness", "", 0.05)):
            gaps = [
                _difference(*(value_at(row, "ranges", name, measure, "mean") for row in (many, few))) for name in RANGES
            ]
            known = [gap for gap in gaps if gap is not None]
            value = max(0.0, *known) if known else None
            name = f"{STEPS[0]} steps below {STEPS[1]}, {place}: {measure.replace('psnr', 'PSNR')}"
            yield Target(name, unit, value, most, most, True, 2)


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b
