"""Scores of generated frames against real ones, and their means and spreads over trajectories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from li_env.metrics import gradient_energy, psnr, ssim

LEAST_MASKED_SHARE = 0.01
"""Share of a frame's pixels that a mask must hold for a masked score."""

Scores = dict[str, np.ndarray]
"""Scores per frame [n, T]: ``psnr`` in dB, ``ssim``, gradient energies ``energy`` and ``real_energy``; NaN for none."""


def score(generated: np.ndarray, real: np.ndarray, device: torch.device, mask: torch.Tensor | None = None) -> Scores:
    """Compare frames uint8 [n, T, H, W, 3], in the pixels of ``mask`` [n, T, H, W] if there is one."""
    a, b = (torch.from_numpy(np.ascontiguousarray(frames)).to(device) for frames in (generated, real))
    found = {
        "psnr": psnr(a, b, mask),
        "ssim": ssim(a, b, mask),
        "energy": gradient_energy(a, mask),
        "real_energy": gradient_energy(b, mask),
    }
    if mask is not None:
        enough = mask.float().mean((-1, -2)) >= LEAST_MASKED_SHARE
        found = {name: torch.where(enough, values, torch.nan) for name, values in found.items()}
    return {name: values.double().cpu().numpy() for name, values in found.items()}


def joined(parts: Sequence[Scores]) -> Scores:
    """Join scores of successive frames: [n, T1 + T2 + ...]."""
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}


def summary(values: np.ndarray) -> dict[str, Any]:
    """Average each trajectory of [n, ...] without NaN; return mean, standard deviation and number of these averages.

    Without any value these are None, None and 0.
    """
    own = _own_means(values)
    if not len(own):
        return {"mean": None, "std": None, "n": 0}
    return {"mean": float(own.mean()), "std": float(own.std()), "n": len(own)}


def ratio(above: np.ndarray, below: np.ndarray) -> dict[str, Any]:
    """Divide the sums of arrays [n, ...] over all frames; ``std`` and ``n`` are of the trajectories' own ratios."""
    both = np.isfinite(above) & np.isfinite(below)
    if not both.any() or below[both].sum() == 0:
        return {"mean": None, "std": None, "n": 0}
    rows = [row for row in range(len(above)) if both[row].any() and below[row][both[row]].sum() > 0]
    own = np.array([above[row][both[row]].sum() / below[row][both[row]].sum() for row in rows])
    return {"mean": float(above[both].sum() / below[both].sum()), "std": float(own.std()), "n": len(own)}


def summaries(scores: Scores) -> dict[str, dict[str, Any]]:
    """Summarise scores [n, T] as ``psnr``, ``ssim`` and ``sharpness`` (gradient energy, generated / real)."""
    return {
        "psnr": summary(scores["psnr"]),
        "ssim": summary(scores["ssim"]),
        "sharpness": ratio(scores["energy"], scores["real_energy"]),
    }


def by_chunk(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Turn one summary per chunk into lists ``mean``, ``std`` and ``n`` over the chunks."""
    return {name: [row[name] for row in rows] for name in ("mean", "std", "n")}


def grouped(scores: Scores, rows: Sequence[int]) -> Scores:
    """Group scores [k, T] of samples by trajectories ``rows`` [k]: [trajectories, most samples * T], NaN-padded."""
    members = [np.flatnonzero(np.asarray(rows) == row) for row in sorted(set(rows))]
    width = max(len(group) for group in members)

    def gather(values: np.ndarray) -> np.ndarray:
        out = np.full((len(members), width, values.shape[1]), np.nan)
        for row, group in enumerate(members):
            out[row, : len(group)] = values[group]
        return out.reshape(len(members), -1)

    return {name: gather(values) for name, values in scores.items()}


def _own_means(values: np.ndarray) -> np.ndarray:
    flat = values.reshape(len(values), -1)
    finite = np.isfinite(flat)
    kept = finite.any(1)
    return np.where(finite, flat, 0.0).sum(1)[kept] / finite.sum(1)[kept]
