"""How alike pictures are to a network that was trained on other pictures, for pictures that pixels alone judge badly.

Named after the network ("effnet distance"), because the numbers compare with nothing that another network gives. A
network that took part in a training does not judge its result: training looks through Lite0, the report through Lite2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import normalize

from li_env.metrics import psnr, sharpness, ssim
from li_env.worlds.freedoom.autoencoder import to_pixels
from li_env.worlds.freedoom.efficientnet import FeatureNet

PLACES = 5
"""Depths that are compared place by place; the deepest has too few places and is pooled instead."""


def feature_distance(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> torch.Tensor:
    """Distance of the features of B pairs of pictures, 0 for equal ones: [B].

    Squared distance of the vectors at every place, each scaled to length one; the mean over places, then over depths.

    Args:
        a, b: what `FeatureNet` gives, each [B, C, h, w].
    """
    parts = [
        (normalize(x.float(), dim=1) - normalize(y.float(), dim=1)).square().sum(1).mean((-1, -2))
        for x, y in zip(a, b, strict=True)
    ]
    return torch.stack(parts).mean(0)


def place_distance(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> torch.Tensor:
    """Distance over the depths that are compared place by place, see `feature_distance`: [B]."""
    return feature_distance(a[:PLACES], b[:PLACES])


def frechet_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Squared Frechet distance of normal distributions fitted to two sets of vectors [n, C] and [m, C].

    |mean a - mean b|^2 + trace(A + B - 2 (A B)^(1/2)) with covariances A and B, in double precision. Few vectors give
    too large a value, so only sets of equal size compare.

    Raises:
        ValueError: a set of fewer than two vectors.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"{min(len(a), len(b))} vectors have no Frechet distance; allowed: 2 or more in each set")
    a, b = a.double(), b.double()
    first, second = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(first)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ second @ root).clamp(min=0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + first.trace() + second.trace() - 2 * cross)


@torch.no_grad()
def compare(made: torch.Tensor, real: torch.Tensor, nets: Sequence[FeatureNet], batch: int = 64) -> dict[str, float]:
    """Every picture measure of frames beside the real ones.

    Args:
        made, real: uint8 [n, H, W, 3] on the device of the networks.
        nets: networks to look through.
        batch: pictures looked at together.

    Returns:
        ``psnr`` (dB, mean over frames), ``ssim`` and ``sharpness``; for each network ``<kind>_distance`` and
        ``<kind>_frechet`` (of the means of the deepest features over the picture).
    """
    parts = list(zip(made.split(batch), real.split(batch), strict=True))
    out = {
        "psnr": float(torch.cat([psnr(x, y) for x, y in parts]).mean()),
        "ssim": float(torch.cat([ssim(x, y) for x, y in parts]).mean()),
        "sharpness": sharpness(made, real),
    }
    for net in nets:
        distances: list[torch.Tensor] = []
        pooled: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
        for pair in parts:
            looks = [net(to_pixels(frames)) for frames in pair]
            distances.append(place_distance(*looks))
            for means, look in zip(pooled, looks, strict=True):
                means.append(look[-1].mean((-1, -2)))
        out[f"{net.kind}_distance"] = float(torch.cat(distances).mean())
        out[f"{net.kind}_frechet"] = frechet_distance(torch.cat(pooled[0]), torch.cat(pooled[1]))
    return out
