"""What a rollout did and cost, as JSON-ready values, and writing such values to disk."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any, get_args

import numpy as np
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.plan import ChunkPlan, Regime
from li_env.accel.runtime.engine import STAGES, ChunkResult
from li_env.accel.world import WorldSpec


class RolloutReport:
    """Collects the chunks of one episode.

    Args:
        spec: of the world.
        config: the acceleration settings used.
        seed: of the episode.
        device: where the world ran.
        note: anything a reader must know, e.g. that a trajectory was completed by standing still.
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
                "steps": result.plan.steps,
                "context_latents": len(result.plan.context),
                "attention_density": attention_density(result.plan, len(result.latents)),
                "frames": len(result.frames),
                "milliseconds": dict(result.milliseconds),
                "degenerated": result.degenerated,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: totals, settings, machine and the list of chunks."""
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


def attention_density(plan: ChunkPlan, latents: int) -> float:
    """Pairs of latents that attend to each other in a chunk of ``latents``, as a share of those in dense attention.

    Counts the context pass, in which the context attends to itself, and every denoising step, in which the chunk
    attends to the context and to itself. Text and blocks that stay dense are left out; selected tiles count with their
    nominal share.
    """
    context, steps, attention = len(plan.temporal) + len(plan.memory), plan.steps, plan.attention
    current = steps * latents * latents
    dense = context**2 + steps * latents * context + current
    kept = attention.context_ratio * context**2 + attention.decode_ratio * steps * latents * context + current
    return kept / dense


def peak_memory(device: torch.device) -> dict[str, float]:
    """Most memory used so far, in MiB: ``process`` (where the system tells) and ``gpu`` (on CUDA: by torch tensors)."""
    peak: dict[str, float] = {}
    try:
        import resource  # not on Windows
    except ImportError:
        pass
    else:
        unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes on macOS, kibibytes on Linux
        peak["process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    if device.type == "cuda":
        peak["gpu"] = torch.cuda.max_memory_allocated(device) / 2**20
    return peak


def device_name(device: torch.device) -> str:
    """A name for people, e.g. of the GPU, or of the processor with its number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()} ({torch.get_num_threads()} threads)"


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    try:
        own = version("li-env")
    except PackageNotFoundError:  # a bare checkout
        own = "not installed"
    return {"li_env": own, "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
