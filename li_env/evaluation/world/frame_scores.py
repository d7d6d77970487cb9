"""Scores of generated frames against the game's, by chunk and over ranges of chunks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from li_env.evaluation.fidelity.scores import by_chunk, ratio, summary
from li_env.evaluation.fidelity.settings import CHUNK
from li_env.evaluation.world.layout import SHRINK, edge_correlation
from li_env.metrics import gradient_energy, psnr, ssim
from li_env.worlds.freedoom.autoencoder import to_pixels
from li_env.worlds.freedoom.efficientnet import FeatureNet
from li_env.worlds.freedoom.feature_metrics import place_distance
from li_env.worlds.freedoom.sizes import SMALL

RANGES = {"1-9": (1, 9), "16": (16, 16), "27-31": (27, 31)}
"""Chunks that are averaged, by name: first and last, both included. Chunk 1 holds the start frame, which is given."""

MEASURES = ("psnr", "ssim", "sharpness", "layout", "feature_distance")
"""Names of the measures of a frame beside the game's."""

_TOGETHER = 256
"""Frames that are compared at once."""

Scores = dict[str, np.ndarray]
"""Scores per frame [n, T]: ``psnr`` in dB, ``ssim``, ``layout``, gradient energies ``energy`` and ``real_energy``, and
``feature_distance`` where there is a network."""


def frame_scores(
    generated: np.ndarray, real: np.ndarray, device: torch.device, net: FeatureNet | None = None
) -> Scores:
    """Compare frames uint8 [n, T, H, W, 3] with those of the game.

    Args:
        generated, real: the frames.
        device: where to compute.
        net: network for ``feature_distance``, on that device; None leaves the measure out.
    """
    found: dict[str, list[torch.Tensor]] = {}
    pairs = [frames.reshape(-1, *frames.shape[2:]) for frames in (generated, real)]
    shrink = SHRINK * real.shape[2] // SMALL.frame_size[0]  # all sizes are compared at the same number of pixels
    for begin in range(0, len(pairs[0]), _TOGETHER):
        a, b = (torch.from_numpy(frames[begin : begin + _TOGETHER]).to(device) for frames in pairs)
        values = {
            "psnr": psnr(a, b),
            "ssim": ssim(a, b),
            "layout": edge_correlation(a, b, shrink),
            "energy": gradient_energy(a),
            "real_energy": gradient_energy(b),
        }
        if net is not None:
            with torch.inference_mode():
                values["feature_distance"] = place_distance(net(to_pixels(a)), net(to_pixels(b)))
        for name, each in values.items():
            found.setdefault(name, []).append(each.double().cpu())
    return {name: torch.cat(parts).numpy().reshape(generated.shape[:2]) for name, parts in found.items()}


def summarised(scores: Scores) -> dict[str, Any]:
    """Return mean, standard deviation and number of trajectories of every measure; see `scores.summary`."""
    named = {name: summary(scores[name]) for name in MEASURES if name in scores}
    return {**named, "sharpness": ratio(scores["energy"], scores["real_energy"])}


def over_chunks(scores: Scores, given: int = 1) -> dict[str, Any]:
    """Summarise scores [n, T] of rollouts from chunk 1 on.

    Args:
        scores: of all frames, the given ones too.
        given: frames in front that were given, not generated.

    Returns:
        ``by_chunk``: lists ``mean``, ``std`` and ``n`` of every measure; ``ranges``: name of `RANGES` -> measures,
        None where the rollout ends earlier.
    """
    length = next(iter(scores.values())).shape[1]
    chunks = [
        summarised(_part(scores, max(given, begin), begin + CHUNK)) for begin in range(0, length - CHUNK + 1, CHUNK)
    ]
    ranges = {
        name: summarised(_part(scores, max(given, CHUNK * (first - 1)), CHUNK * last)) if last <= len(chunks) else None
        for name, (first, last) in RANGES.items()
    }
    return {
        "by_chunk": {name: by_chunk([chunk[name] for chunk in chunks]) for name in chunks[0]},
        "ranges": ranges,
    }


def _part(scores: Mapping[str, np.ndarray], begin: int, end: int) -> Scores:
    return {name: values[:, begin:end] for name, values in scores.items()}
