"""Settings of the measurement of a world against the game."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from li_env.accel.config import AccelConfig
from li_env.evaluation.fidelity.settings import SPLITS, FidelitySettings
from li_env.validation import check_choice, check_number, check_whole
from li_env.worlds.freedoom.sizes import SMALL, WORLDS, Size

PARTS = (
    "fidelity",
    "autoencoder",
    "walks",
    "next",
    "loops",
    "paths",
    "walls",
    "actions",
    "collapse",
    "steps",
    "agents",
)
"""Parts of the measurement, in the order in which they run; docs/worlds/measuring.md explains them."""

FEW = 2
"""Trajectories of a quick look."""

FEW_CHUNKS = 4
"""Chunks of a quick look."""


@dataclass(frozen=True)
class WorldSettings:
    """Settings of `li_env.evaluation.world.run.measure_world`.

    Attributes:
        trajectories: number per kind of walk, each on a held-out map of its own.
        chunks: length of own rollouts.
        positions: next chunks measured per trajectory and kind.
        split: ``validation`` for decisions, ``test`` for final numbers alone.
        spacings: metres between the spots of the scans, increasing; the first one counts where a part takes one scan.
        headings: views per spot.
        presets: acceleration presets.
        parts: names of `PARTS`.
        device: ``cpu`` or ``cuda``.
        weights: folder of the weights; None takes the shipped ones.
        seed: picks maps, walks and noise.
        workers: processes that render the game; None takes one per core.
        max_seconds: no measurement begins after so many seconds; None for no limit.
        command: command line, for the record.
        world: ``freedoom`` or ``freedoom_large``.
    """

    trajectories: int = 64
    chunks: int = 32
    positions: int = 4
    split: str = "validation"
    spacings: tuple[float, ...] = (2.5, 4.0, 6.0)
    headings: int = 8
    presets: tuple[str, ...] = ("off", "all")
    parts: tuple[str, ...] = PARTS
    device: str = "cpu"
    weights: Path | None = None
    seed: int = 0
    workers: int | None = None
    max_seconds: float | None = None
    command: str = ""
    world: str = SMALL.world

    def __post_init__(self) -> None:
        self.fidelity()  # checks what both reports have
        check_choice("split", self.split, SPLITS)
        check_whole("headings", self.headings, 1, 360)
        for name, values in (("spacings", self.spacings), ("presets", self.presets), ("parts", self.parts)):
            if not values or len(set(values)) != len(values):
                raise ValueError(f"{name}={list(values)} is not allowed; use one value or more, each once")
        for spacing in self.spacings:
            check_number("spacings", spacing, 0.5, 100)
        if list(self.spacings) != sorted(self.spacings):
            raise ValueError(f"spacings={list(self.spacings)} is not allowed; use increasing numbers")
        for preset in self.presets:
            AccelConfig.of(preset)
        for part in self.parts:
            check_choice("parts", part, PARTS)
        if self.max_seconds is not None:
            check_number("max_seconds", self.max_seconds, 0, above=True)

    def fidelity(self) -> FidelitySettings:
        """Return the settings of the fidelity report on the same maps."""
        return FidelitySettings(
            trajectories=self.trajectories,
            chunks=self.chunks,
            positions=self.positions,
            device=self.device,
            weights=self.weights,
            preset=self.presets[0],
            seed=self.seed,
            workers=self.workers,
            command=self.command,
            split=self.split,
            world=self.world,
        )

    @property
    def size(self) -> Size:
        """Size of the world."""
        return WORLDS[self.world]

    @property
    def map_seeds(self) -> range:
        """Maps of the trajectories."""
        first = self.fidelity().first_map
        return range(first, first + self.trajectories)

    @property
    def scans(self) -> tuple[float | None, ...]:
        """Spacings with None, no scan, in front."""
        return (None, *self.spacings)

    @property
    def variants(self) -> list[tuple[str, float | None]]:
        """Every preset without a scan and in the first one, for parts that take one scan: (preset, spacing or None)."""
        return [(preset, scan) for preset in self.presets for scan in self.scans[:2]]

    def identity(self) -> dict[str, Any]:
        """Return what must be equal for results to stand in one report, JSON-ready."""
        return {
            "world": self.world,
            "trajectories": self.trajectories,
            "chunks": self.chunks,
            "positions": self.positions,
            "split": self.split,
            "headings": self.headings,
            "seed": self.seed,
            "device": self.device,
            "first_spacing": self.spacings[0],
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-ready values."""
        return {
            **self.identity(),
            "spacings": list(self.spacings),
            "presets": list(self.presets),
            "weights": None if self.weights is None else str(self.weights),
            "first_map": self.map_seeds[0],
        }
