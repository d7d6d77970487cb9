"""Lists of the key tiles that each query tile attends to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from li_env.kernels.tile_order import TileLayout


@dataclass(frozen=True, eq=False)
class TileLists:
    """Chosen key tiles per (batch entry, head, query tile).

    Attributes:
        indices: int32 [B, H, Nq, L], numbers of the chosen tiles, increasing; -1 past the end of a list.
        counts: int32 [B, H, Nq], length of each list.
        entries: int32 [B, H, Nq, L], ``start * 256 + length`` of the same tiles, those that fill a block first, so that
            the kernel's long loop needs no mask; 0 past the end.
        full_counts: int32 [B, H, Nq], how many of them fill a block.
    """

    indices: torch.Tensor
    counts: torch.Tensor
    entries: torch.Tensor
    full_counts: torch.Tensor


def tile_lists(indices: torch.Tensor, counts: torch.Tensor, layout: TileLayout) -> TileLists:
    """Make lists for `block_sparse_attention` from given indices and counts.

    Args:
        indices: integers [B, H, Nq, L], key tile numbers in any order, no duplicates; anything past a list's count.
        counts: integers [B, H, Nq].
        layout: of the same chunk.

    Raises:
        ValueError: wrong shape; and, for lists on the CPU, a count outside [0, L], a tile that does not exist, or a
            tile named twice. Lists on a GPU are trusted: a check would have to wait for the GPU.
    """
    batch, tiles = layout.queries.entries.shape
    if indices.ndim != 4 or (indices.shape[0], indices.shape[2]) != (batch, tiles):
        raise ValueError(f"indices: shape {tuple(indices.shape)}: [{batch}, heads, {tiles}, length] is needed")
    if counts.shape != indices.shape[:3]:
        raise ValueError(f"counts: shape {tuple(counts.shape)}: {tuple(indices.shape[:3])} is needed")
    width = indices.shape[3]
    inside = torch.arange(width, device=indices.device) < counts[..., None]
    if indices.device.type == "cpu":
        _check(indices, counts, inside, layout)
    device = layout.keys.entries.device
    return make_lists(indices.to(device), inside.to(device), layout)


def make_lists(indices: torch.Tensor, inside: torch.Tensor, layout: TileLayout) -> TileLists:
    """Sort lists and look up their entries, on the device of ``indices`` and without waiting for it."""
    beyond = layout.keys.entries.shape[1]
    indices = torch.where(inside, indices, beyond).sort(dim=-1).values
    inside = indices < beyond
    b = torch.arange(indices.shape[0], device=indices.device).view(-1, 1, 1, 1)
    entries = layout.keys.entries[b, torch.where(inside, indices, 0)].masked_fill(~inside, 0)
    full = inside & ((entries & 255) == layout.block)
    rank = torch.where(full, 0, torch.where(inside, 1, 2))
    order = rank.sort(dim=-1, stable=True).indices
    return TileLists(
        indices=torch.where(inside, indices, -1).to(torch.int32),
        counts=inside.sum(dim=-1, dtype=torch.int32),
        entries=entries.gather(-1, order),
        full_counts=full.sum(dim=-1, dtype=torch.int32),
    )


def _check(indices: torch.Tensor, counts: torch.Tensor, inside: torch.Tensor, layout: TileLayout) -> None:
    width = indices.shape[3]
    if counts.numel() and (int(counts.min()) < 0 or int(counts.max()) > width):
        raise ValueError(f"counts: {int(counts.min())}..{int(counts.max())}: allowed is [0, {width}]")
    for b, tiles in enumerate(layout.keys.counts):
        named = indices[b][inside[b]]
        wrong = named[(named < 0) | (named >= tiles)]
        if wrong.numel():
            raise ValueError(f"indices[{b}]: tile {int(wrong[0])}: allowed is [0, {tiles})")
    ordered = torch.where(inside, indices, -1).sort(dim=-1).values
    twice = (ordered[..., 1:] == ordered[..., :-1]) & (ordered[..., 1:] >= 0)
    if bool(twice.any()):
        raise ValueError(f"indices: tile {int(ordered[..., 1:][twice][0])} is named twice in a list")


@dataclass(frozen=True, eq=False)
class SelectionPlan:
    """Number of tiles that each query tile keeps, and its protected tiles. Made by `selection_plan`, once per chunk.

    Attributes:
        layout: the tiles chosen from.
        kept: int32 [B, Nq], length of the list of every query tile (the same for all heads).
        protected: bool [B, Nq, Nk] or None, tiles that are kept whatever their score.
        width: longest list.
    """

    layout: TileLayout
    kept: torch.Tensor
    protected: torch.Tensor | None
    width: int


def tile_budget(ratio: float, tiles: int, minimum: int = 1) -> int:
    """Return the number of tiles kept out of ``tiles``: floor(ratio * tiles), at least ``minimum``, at most all.

    Raises:
        ValueError: a ratio outside (0, 1] or a minimum below 0.
    """
    if not (isinstance(ratio, (int, float)) and 0 < ratio <= 1):
        raise ValueError(f"ratio={ratio!r}: allowed is (0, 1]")
    if minimum < 0:
        raise ValueError(f"minimum={minimum!r}: allowed is 0 or more")
    # 0.3 * 260 must give 78, although the float 0.3 is not exact.
    return min(tiles, max(minimum, math.floor(ratio * tiles + 1e-9)))


def selection_plan(
    layout: TileLayout,
    ratio: float | Sequence[float],
    minimum: int = 1,
    protected: Sequence[np.ndarray] | None = None,
) -> SelectionPlan:
    """Make the budget of every query tile.

    Args:
        layout: of the chunk.
        ratio: share of key tiles to keep, in (0, 1]; one number or one per batch entry.
        minimum: keep at least so many.
        protected: per batch entry bool [query tiles, key tiles]: tiles that are kept at any score. They count
            towards the budget; a query tile with more protected tiles than budget keeps them all.

    Raises:
        ValueError: a ratio outside (0, 1] or a mask of the wrong shape.

    Source: docs/spec/hy_worldplay.md, section 9.4.
    """
    batch, width = layout.queries.entries.shape
    ratios = [ratio] * batch if isinstance(ratio, (int, float)) else list(ratio)
    if len(ratios) != batch:
        raise ValueError(f"ratio: {len(ratios)} values for a batch of {batch}")
    if protected is not None and len(protected) != batch:
        raise ValueError(f"protected: {len(protected)} masks for a batch of {batch}")
    kept = np.zeros((batch, width), dtype=np.int32)
    masks = None if protected is None else np.zeros((batch, width, layout.keys.entries.shape[1]), dtype=bool)
    for b, (rows, tiles) in enumerate(zip(layout.queries.counts, layout.keys.counts, strict=True)):
        kept[b, :rows] = tile_budget(ratios[b], tiles, minimum)
        if protected is not None and masks is not None:
            mask = np.asarray(protected[b], dtype=bool)
            if mask.shape != (rows, tiles):
                raise ValueError(f"protected[{b}]: shape {mask.shape}: {(rows, tiles)} is needed")
            masks[b, :rows, :tiles] = mask
            kept[b, :rows] = np.maximum(kept[b, :rows], mask.sum(axis=1))
    device = layout.keys.entries.device
    return SelectionPlan(
        layout=layout,
        kept=torch.from_numpy(kept).to(device),
        protected=None if masks is None else torch.from_numpy(masks).to(device),
        width=int(kept.max(initial=0)),
    )
