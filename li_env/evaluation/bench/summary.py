"""Rows of the table, each of one variant on some paths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, get_args

import numpy as np
import torch

from li_env.accel.plan import Regime
from li_env.accel.runtime.chunk import STAGES
from li_env.accel.world_spec import WorldSpec
from li_env.evaluation.bench.measure import Measured
from li_env.evaluation.bench.quality import Quality
from li_env.evaluation.bench.settings import Variant
from li_env.metrics import pooled_psnr

_GENERATE = STAGES.index("generate")


def row(
    spec: WorldSpec,
    variant: Variant,
    measured: Measured,
    reference: Measured,
    paths: Sequence[int],
    trajectory: str,
    warmup: int,
) -> dict[str, Any]:
    """Summarise a variant on the paths with the given indices as a JSON-ready row.

    Times are milliseconds per chunk and rollout (a batch shares its time), first the mean over chunks and paths of
    one repeat, then the median, least and most over the repeats. ``speed_up`` is the reference's time over this
    variant's in the same repeat. Quality, ``after_warmup`` and the work leave out the first ``warmup`` chunks; the
    other times hold all. PSNR and SSIM are means of frames' values; ``pooled_psnr`` is that of all frames together.
    """
    chosen = list(paths)
    times, base = measured.milliseconds[:, chosen], reference.milliseconds[:, chosen]
    work = [entry for index in chosen for entry in measured.work[index][warmup:]]
    quality = [measured.quality[index] for index in chosen]
    frames = 1 + spec.frames_before(times.shape[2])  # the start frame is made too
    chunk_psnr = [entry.psnr for entry in quality if entry.psnr is not None]
    chunk_ssim = [entry.ssim for entry in quality if entry.ssim is not None]
    return {
        "world": spec.name,
        "trajectory": trajectory,
        "preset": variant.label,
        "sweep": None
        if variant.key is None
        else {"preset": variant.preset, "key": variant.key, "value": variant.value},
        "decisions": [measured.decisions[index] for index in chosen],
        "rollouts": len(chosen),
        "milliseconds": {stage: over_repeats(times[..., number].mean((1, 2))) for number, stage in enumerate(STAGES)}
        | {"all": over_repeats(times.sum(-1).mean((1, 2)))},
        "milliseconds_after_warmup": over_repeats(times[:, :, warmup:, _GENERATE].mean((1, 2))),
        "speed_up": over_repeats(_generate(base, 0) / _generate(times, 0)),
        "speed_up_after_warmup": over_repeats(_generate(base, warmup) / _generate(times, warmup)),
        "frames_per_second": over_repeats(1000.0 * frames / times.sum(-1).sum(-1).mean(-1)),
        "against_off": {
            "psnr": mean(np.mean(values[warmup:]) for values in chunk_psnr),
            "ssim": mean(np.mean(values[warmup:]) for values in chunk_ssim),
            "pooled_psnr": _pooled(entry.pooled_psnr for entry in quality),
            "psnr_by_chunk": _by_chunk(chunk_psnr),
            "ssim_by_chunk": _by_chunk(chunk_ssim),
        },
        "revisits": {
            "psnr": mean(entry.self_psnr for entry in quality),
            "ssim": mean(entry.self_ssim for entry in quality),
            "pairs": sum(entry.pairs for entry in quality),
            "game_psnr": mean(entry.game_self_psnr for entry in quality),
            "pooled_psnr": _pooled(entry.self_pooled_psnr for entry in quality),
        },
        "game": {
            "psnr": mean(entry.game_psnr for entry in quality),
            "ssim": mean(entry.game_ssim for entry in quality),
            "sharpness": mean(entry.sharpness for entry in quality),
            "pooled_psnr": _pooled(entry.game_pooled_psnr for entry in quality),
        },
        "perceptual": _perceptual(quality),
        "peak_memory_mib": measured.peak_mebibytes,
        "regimes": {name: float(np.mean([entry.regime == name for entry in work])) for name in get_args(Regime)},
        "steps": float(np.mean([entry.steps for entry in work])),
        "context_latents": float(np.mean([entry.context for entry in work])),
        "attention_density": float(np.mean([entry.density for entry in work])),
        "block_sparse_share": float(np.mean([entry.sparse for entry in work])),
        "generate_milliseconds_by_chunk": np.median(times[..., _GENERATE].mean(1), axis=0).tolist(),
        "degenerated": sum(measured.degenerated[index] for index in chosen),
    }


def over_repeats(values: np.ndarray) -> dict[str, float]:
    """Return median, least and most of one value per repeat."""
    return {"median": float(np.median(values)), "low": float(values.min()), "high": float(values.max())}


def mean(values: Iterable[float | np.floating[Any] | None]) -> float | None:
    """Average the values that are not None; None without any."""
    kept = [float(value) for value in values if value is not None]
    return sum(kept) / len(kept) if kept else None


def _generate(milliseconds: np.ndarray, begin: int) -> np.ndarray:
    """Sum the time of generation [repeats] from chunk ``begin`` on."""
    return milliseconds[:, :, begin:, _GENERATE].sum((1, 2))


def _perceptual(quality: Sequence[Quality]) -> dict[str, dict[str, float | None]]:
    names = dict.fromkeys(name for entry in quality for name in entry.perceptual)
    return {
        name: {
            against: mean(entry.perceptual.get(name, {}).get(against) for entry in quality)
            for against in ("off", "revisits", "game")
        }
        for name in names
    }


def _pooled(decibels: Iterable[float | None]) -> float | None:
    """Pool all frames after the warm-up; the rollouts of a row count equally."""
    values = [value for value in decibels if value is not None]
    return pooled_psnr(torch.tensor(values, dtype=torch.float64)) if values else None


def _by_chunk(values: Sequence[tuple[float, ...]]) -> list[float] | None:
    return np.mean(values, axis=0).tolist() if values else None
