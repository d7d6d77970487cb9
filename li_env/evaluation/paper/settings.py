"""Settings of the paper's tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from li_env.accel.config import AccelConfig
from li_env.evaluation.bench.settings import BenchSettings


@dataclass(frozen=True)
class PaperSettings:
    """Settings of `run.paper`; the defaults end within 30 minutes on two CPU cores in ``freedoom``.

    Attributes:
        trajectories: names from `standard_paths.TRAJECTORIES`.
        seeds: one rollout per trajectory and seed; with images only the first seed counts.
        repeats: how often everything is timed.
        chunks: length of a rollout.
        game: whether to compare with the real game where a world has one.
    """

    trajectories: tuple[str, ...] = ("left-right", "forward-backward", "square", "random")
    seeds: tuple[int, ...] = (0,)
    repeats: int = 2
    chunks: int = 10
    game: bool = True

    def bench(
        self, configs: Sequence[AccelConfig], trajectories: tuple[str, ...] | None = None, repeats: int | None = None
    ) -> BenchSettings:
        """Return the settings of the benchmark for these methods, of which the first is ``off``.

        Raises:
            ValueError: as `BenchSettings`.
        """
        return BenchSettings(
            presets=tuple(configs[1:]),
            trajectories=self.trajectories if trajectories is None else trajectories,
            seeds=self.seeds,
            repeats=self.repeats if repeats is None else repeats,
            chunks=self.chunks,
            batch=1,
            game=self.game,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def image_digest(images: Sequence[Mapping[str, Any]]) -> str:
    """Return a text that is equal only for equal images and prompts; empty without images."""
    digest = sha256()
    for options in images:
        digest.update(str(options["image"].shape).encode() + options["image"].tobytes())
        digest.update(str(options.get("prompt", "")).encode() + b"\0")
    return digest.hexdigest() if images else ""
