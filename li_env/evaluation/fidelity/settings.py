"""Settings and sizes of the fidelity report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from li_env.doom.splits import TEST, VALIDATION
from li_env.validation import check_choice
from li_env.worlds.freedoom.sizes import SMALL, WORLDS, Size

CHUNK = 4
"""Latents (frames) per chunk of the freedoom world, the first chunk's start frame included."""

LOOK_CHUNKS = 8
"""Chunks of the first look in revisits (six for a full turn)."""

FIRST_WITH_MEMORY = 5
"""Index of the first chunk whose history is longer than the recent window and the memory together (20 latents)."""

STEPS = (4, 16)
"""Denoising steps that are compared; the first is the shipped schedule."""

BATCH = 64
"""Episodes generated at once."""

SPLITS = {"validation": VALIDATION, "test": TEST}
"""Held-out maps: those for decisions, and those for final numbers alone."""

MAPS_PER_SEED = 10_000
"""Maps between the first maps of two seeds."""


@dataclass(frozen=True)
class FidelitySettings:
    """Settings of `evaluate_world`.

    Attributes:
        trajectories: number per kind, each on a held-out map of its own.
        chunks: length of own rollouts.
        positions: next chunks measured per trajectory and kind.
        device: ``cpu`` or ``cuda``.
        weights: folder of the weights; None takes the shipped ones.
        preset: acceleration preset.
        seed: picks maps, walks and noise.
        workers: processes that render the game; None takes one per core.
        command: command line, for the record.
        split: held-out maps that are measured, ``validation`` or ``test``.
        world: ``freedoom`` or ``freedoom_large``.
    """

    trajectories: int = 64
    chunks: int = 32
    positions: int = 4
    device: str = "cpu"
    weights: Path | None = None
    preset: str = "off"
    seed: int = 0
    workers: int | None = None
    command: str = ""
    split: str = "test"
    world: str = SMALL.world

    def __post_init__(self) -> None:
        check_choice("world", self.world, WORLDS)
        for key, most in (("trajectories", 4096), ("chunks", 250), ("positions", 16)):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise ValueError(f"{key}={value!r} is not allowed; use a whole number from 1 to {most}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 1000:
            raise ValueError(f"seed={self.seed!r} is not allowed; use a whole number from 0 to 999")
        check_choice("split", self.split, SPLITS)
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers={self.workers!r} is not allowed; use a whole number from 1 up")

    @property
    def size(self) -> Size:
        """Size of the world."""
        return WORLDS[self.world]

    @property
    def first_map(self) -> int:
        """Seed of the first held-out map; trajectory i of every kind is on the i-th map from there."""
        return SPLITS[self.split][MAPS_PER_SEED * self.seed]

    @property
    def walk_latents(self) -> int:
        """Length of the walks: long enough for own rollouts and for next chunks far into an episode."""
        return max(CHUNK * self.chunks, 96)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-ready values."""
        return {**asdict(self), "weights": None if self.weights is None else str(self.weights)}
