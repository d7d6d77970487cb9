"""Order of the tokens of a clip in its sequence, and which of them attend to which.

A sequence is [memory latents | given latents | new latents], each part in itself either in (frame, row, column) order
or in tile order for block-sparse attention. So the given tokens always come first, in either order, and one
index separates given from new tokens. Tiles never mix parts, and memory latents, which come
from different times and show different scenes, are tiled one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from li_env.accel.plan import AttentionPlan
from li_env.kernels.attention import attend_joined
from li_env.kernels.block_select import SelectionPlan, block_select, selection_plan
from li_env.kernels.block_sparse_attention import block_sparse_attention
from li_env.kernels.tile_order import tile_layout, tile_order, tile_table
from li_env.worlds.common.band_attention import BandShape, band_attention
from li_env.worlds.common.tile_attention import score_means

TILE_SHAPE = (4, 4, 8)
"""Frames, rows and columns of an attention tile."""

FEWEST_TILES = 7
"""Key tiles that every query tile keeps at least: a tile and its six neighbours."""


class ClipShape(NamedTuple):
    """Sizes that decide a layout: ``grid`` is (rows, columns) of tokens per latent; the others count latents."""

    grid: tuple[int, int]
    memory: int
    given: int
    new: int

    @property
    def latents(self) -> int:
        """Latents of the whole sequence."""
        return self.memory + self.given + self.new


@dataclass(frozen=True, eq=False)
class TileChoice:
    """Key tiles that query tiles may choose from: for all tokens, and for those after ``dropped`` alone."""

    every: SelectionPlan
    kept: SelectionPlan


@dataclass(frozen=True, eq=False)
class TokenLayout:
    """Order and attention of the tokens of one clip. Make one with `token_layout`.

    Attributes:
        shape: of the clip.
        dropped: tokens at the front whose result nobody reads.
        order: int64 [S], the index in (frame, row, column) order of every token, or None for the usual order.
        back: int64 [S], the inverse of ``order``, or None.
        token_coords: int64 [S, 3], frame, row and column of every token.
        frames: int64 [S], frame of every token.
        lines: int64 [n, T], the tokens of each position of the picture along time.
        attention: the plan.
        tiles: the choice of tiles, None where none are chosen.
    """

    shape: ClipShape
    dropped: int
    order: torch.Tensor | None
    back: torch.Tensor | None
    token_coords: torch.Tensor
    frames: torch.Tensor
    lines: torch.Tensor
    attention: AttentionPlan
    tiles: TileChoice | None

    @property
    def latents(self) -> int:
        """Latents of the sequence."""
        return self.shape.latents

    @property
    def known(self) -> int:
        """Tokens of given latents, memory included: all at the front."""
        rows, columns = self.shape.grid
        return (self.shape.memory + self.shape.given) * rows * columns

    def to_sequence(self, x: torch.Tensor, dim: int) -> torch.Tensor:
        """Bring tokens from (frame, row, column) order into the order of the sequence."""
        return x if self.order is None else x.index_select(dim, self.order)

    def kept_to_grid(self, x: torch.Tensor, dim: int) -> torch.Tensor:
        """Bring the tokens after ``dropped`` back into (frame, row, column) order."""
        return x if self.back is None else x.index_select(dim, self.back[self.dropped :] - self.dropped)

    def is_dense(self, block: int) -> bool:
        """Return whether everything attends to everything in transformer block ``block``."""
        return self.attention.is_dense(block)

    def attend(self, block: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Compute attention of transformer block ``block``.

        Args:
            block: number of the block.
            query: [B, H, S, D], or without the ``dropped`` tokens at the front.
            key, value: [B, H, S, D].

        Returns:
            Like ``query``.
        """
        if self.is_dense(block):
            return attend_joined(query, key, value)
        whole = query.shape[2] == key.shape[2]
        if self.tiles is None:
            return band_attention(query, key, value, self._band(whole))[0]
        plan = self.tiles.every if whole else self.tiles.kept
        scores = self.attention.tile_scores
        means = score_means(query, plan.layout.queries, scores), score_means(key, plan.layout.keys, scores)
        return block_sparse_attention(query, key, value.contiguous(), plan.layout, block_select(*means, plan))

    def _band(self, whole: bool) -> BandShape:
        """Return the sizes of the bands; the first latent of the sequence is a sink that all queries see."""
        rows, columns = self.shape.grid
        first = 0 if whole else self.dropped // (rows * columns)
        return BandShape(
            rows * columns, (first, self.latents), (1, self.latents), rows * columns, self.attention.band_width
        )

    def all_dense(self) -> TokenLayout:
        """Return the same order of tokens with dense attention."""
        return replace(self, attention=AttentionPlan())


@lru_cache(maxsize=64)
def token_layout(
    shape: ClipShape,
    dropped_latents: int,
    attention: AttentionPlan,
    tile: tuple[int, int, int],
    batch: int,
    device: torch.device,
) -> TokenLayout:
    """Make the layout of a clip; cached and shared, do not write to it.

    Args:
        shape: of the clip.
        dropped_latents: latents at the front whose result nobody reads: at most all given ones.
        attention: the plan; ``decode_ratio`` counts all key tiles.
        tile: (frames, rows, columns) of a tile, at most 128 tokens.
        batch: batch size.
        device: where the tensors are kept.

    Raises:
        ValueError: more latents dropped than given, or an impossible plan.
    """
    rows, columns = shape.grid
    if not 0 <= dropped_latents <= shape.memory + shape.given:
        raise ValueError(f"dropped_latents={dropped_latents}: allowed are 0 to {shape.memory + shape.given}")
    dropped = dropped_latents * rows * columns
    size = shape.latents * rows * columns
    order = np.arange(size)
    tiles = None
    if attention.kind in ("block_sparse", "bsa"):
        order, starts, lengths, tile_coords = _tiled(shape, tile)
        near = np.abs(tile_coords[:, None, 1:] - tile_coords[None, :, 1:]).sum(axis=-1) <= 1
        near &= tile_coords[:, None, 0] == tile_coords[None, :, 0]
        keys = tile_table([starts] * batch, [lengths] * batch, device)
        plans = []
        for first in (0, dropped):
            own = starts >= first
            queries = tile_table([starts[own] - first] * batch, [lengths[own]] * batch, device)
            layout = tile_layout(queries, keys)
            protected = (FEWEST_TILES, [near[own]] * batch) if attention.kind == "block_sparse" else ()
            plans.append(selection_plan(layout, attention.decode_ratio, *protected))
        tiles = TileChoice(plans[0], plans[1])
    back = np.argsort(order)
    frame, position = np.divmod(order, rows * columns)
    lines = back.reshape(shape.latents, rows * columns).T

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    return TokenLayout(
        shape=shape,
        dropped=dropped,
        order=None if tiles is None else tensor(order),
        back=None if tiles is None else tensor(back),
        token_coords=tensor(np.stack((frame, position // columns, position % columns), axis=-1)),
        frames=tensor(frame),
        lines=tensor(lines),
        attention=attention,
        tiles=tiles,
    )


def _tiled(shape: ClipShape, tile: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (order, starts, lengths, coordinates [tiles, 4]) of all tiles; coordinates are (space, slab, row, column).

    Only tiles of one space can be neighbours: each memory latent is one, given and new latents together another.
    """
    frames, rows, columns = tile
    memory = [(1, (1, frames * rows, columns), 1 + index, 0) for index in range(shape.memory)]
    later = -(-shape.given // frames)
    parts = [*memory, (shape.given, tile, 0, 0), (shape.new, tile, 0, later)]
    orders, starts, lengths, tile_coords, first = [], [], [], [], 0
    for latents, extents, space, slab in parts:
        if latents:
            part = tile_order((latents, *shape.grid), extents, "serpentine")
            orders.append(part.permutation.numpy() + first)
            starts.append(part.starts + first)
            lengths.append(part.lengths)
            tile_coords.append(_tile_coords(space, slab, part.coordinates))
            first += part.permutation.numel()
    return tuple(np.concatenate(each) for each in (orders, starts, lengths, tile_coords))  # type: ignore[return-value]


def _tile_coords(space: int, slab: int, cells: np.ndarray) -> np.ndarray:
    return np.column_stack((np.full(len(cells), space), cells + np.array([slab, 0, 0])))
