"""Report of a rollout: its plans, times and totals as JSON-ready values."""

from __future__ import annotations

from typing import Any, get_args

import torch

from li_env.accel.config import AccelConfig
from li_env.accel.plan import Regime, attention_density
from li_env.accel.runtime.chunk import STAGES, ChunkResult
from li_env.accel.runtime.machine import device_name, peak_memory, versions
from li_env.accel.world_spec import WorldSpec


class RolloutReport:
    """Report that collects the chunks of one episode.

    Args:
        spec: the world's constants.
        config: the acceleration settings used.
        seed: seed of the episode.
        device: device that the world ran on.
        note: remark for the reader, e.g. that a trajectory was completed by standing still.
    """

    def __init__(
        self, spec: WorldSpec, config: AccelConfig, seed: int, device: torch.device | str = "cpu", note: str = ""
    ) -> None:
        self._spec, self._config, self._seed, self.note = spec, config, seed, note
        self._device = torch.device(device)
        self._chunks: list[dict[str, Any]] = []

    def add(self, result: ChunkResult) -> None:
        """Record one chunk; keeps no frames, latents or poses."""
        self._chunks.append(
            {
                **result.plan.to_dict(),
                "steps": result.plan.computed_steps,
                "context_latents": result.plan.context_latents,
                "attention_density": attention_density(result.plan, len(result.latents)),
                "frames": len(result.frames),
                "milliseconds": dict(result.milliseconds),
                "degenerated": result.degenerated,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready values: totals, settings, machine and the list of chunks."""
        stages = {stage: sum(chunk["milliseconds"][stage] for chunk in self._chunks) for stage in STAGES}
        milliseconds, frames = sum(stages.values()), sum(chunk["frames"] for chunk in self._chunks)
        return {
            "world": self._spec.name,
            "preset": self._config.name,
            "settings": self._config.to_dict(),
            "seed": int(self._seed),
            "note": self.note,
            "totals": {
                "chunks": len(self._chunks),
                "frames": frames,
                "steps": sum(chunk["steps"] for chunk in self._chunks),
                "regimes": {name: sum(chunk["regime"] == name for chunk in self._chunks) for name in get_args(Regime)},
                "context_latents": sum(chunk["context_latents"] for chunk in self._chunks),
                "attention_density": self._mean("attention_density", default=1.0),
                "milliseconds": {**stages, "all": milliseconds},
                "frames_per_second": 1000.0 * frames / milliseconds if milliseconds else 0.0,
                "degenerated": any(chunk["degenerated"] for chunk in self._chunks),
            },
            "peak_memory_mib": peak_memory(self._device),
            "device": device_name(self._device),
            "versions": versions(),
            "chunks": list(self._chunks),
        }

    def _mean(self, key: str, default: float) -> float:
        values = [float(chunk[key]) for chunk in self._chunks]
        return sum(values) / len(values) if values else default
