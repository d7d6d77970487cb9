"""Layout: whether walls, doors and edges stand where the game has them, whatever their textures."""

from __future__ import annotations

import torch
from torch.nn.functional import avg_pool2d

SHRINK = 4
"""Pixels across and down, of frames of the small size, that become one before gradients are compared: textures vanish,
walls and doors stay."""

_FLAT = 1e-3
"""Energy of gradients, in squared levels per pixel, below which a picture shows no edge at all."""


def edge_correlation(generated: torch.Tensor, real: torch.Tensor, shrink: int = SHRINK) -> torch.Tensor:
    """Correlate the gradients of pictures at a quarter of their size ("edge4").

    Pictures are averaged over colours and over squares of ``shrink`` pixels. The differences of neighbours, across and
    down together, of both pictures are correlated (Pearson).

    Args:
        generated, real: uint8 [..., H, W, 3] with H and W multiples of ``shrink``.
        shrink: side of a square in pixels.

    Returns:
        float [...]: 1 for equal pictures, about 0 for pictures of different places, 0 where the generated picture has
        no edge, NaN where the real one has none.
    """
    own, true = _gradients(generated, shrink), _gradients(real, shrink)
    own, true = own - own.mean(-1, keepdim=True), true - true.mean(-1, keepdim=True)
    energy, wanted = own.square().mean(-1), true.square().mean(-1)
    found = (own * true).mean(-1) / (energy * wanted).sqrt().clamp(min=1e-12)
    found = torch.where(energy < _FLAT, torch.zeros_like(found), found)
    return torch.where(wanted < _FLAT, torch.full_like(found, torch.nan), found)


def _gradients(frames: torch.Tensor, shrink: int) -> torch.Tensor:
    """Return the differences of neighbours of shrunk pictures: [..., n]."""
    grey = frames.float().mean(-1)
    small = avg_pool2d(grey.reshape(-1, 1, *grey.shape[-2:]), shrink)[:, 0]
    across, down = small.diff(dim=-1).flatten(1), small.diff(dim=-2).flatten(1)
    return torch.cat((across, down), dim=1).reshape(*grey.shape[:-2], -1)
