"""Attention of Sparse VideoGen: every head attends to a band, in the order of frames or in the order of places.

A *spatial* head attends to near frames: a band around the diagonal where tokens are ordered by (frame, place). A
*temporal* head attends to the same places in all frames: a band where tokens are ordered by (place, frame). One kernel
serves both; the tokens of temporal heads are reordered before and after. Bands are cut into blocks of 128 tokens; a
block is kept if the band touches it. Text, and a first frame as sink where a model has one, are always seen.

Which kind a head is, is decided anew in every call, as upstream does: a few rows of queries attend to everything and
through both masks; the mask whose result is nearer wins.

Source: docs/spec/baselines.md, section 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from li_env.kernels.block_select import TileLists, tile_lists
from li_env.kernels.block_sparse_attention import block_sparse_attention
from li_env.kernels.tile_order import LONGEST_TILE, TileLayout, tile_layout, tile_table

ROWS = 64
"""Rows of queries by which a head is judged, evenly spaced."""


class BandShape(NamedTuple):
    """Sizes that decide a band.

    ``places`` is the number of tokens of a frame, ``queries`` and ``keys`` are (first, past the last) frames, counted
    in the order in which the model sees them; ``prefix`` is the number of tokens in front of the keys that all queries
    see; ``width`` is half of the width of the band, in frames.
    """

    places: int
    queries: tuple[int, int]
    keys: tuple[int, int]
    prefix: int
    width: float

    @property
    def tokens(self) -> int:
        """Half of the width of the band in tokens: whole blocks, at least one."""
        return LONGEST_TILE * max(1, int(self.width * self.places // LONGEST_TILE))


@dataclass(frozen=True, eq=False)
class Band:
    """Order and blocks of one kind of head.

    Attributes:
        queries: int64 [Sq], the usual position of every query token in this order.
        back: int64 [Sq], the inverse.
        keys: int64 [prefix + Sk], the same for keys, the prefix in front.
        blocks: bool [Nq, Nk], whether a block of queries sees a block of keys (those of the prefix left out).
        query_blocks, key_blocks: int64 [Sq] and [Sk], the block of every token in the usual order.
    """

    queries: torch.Tensor
    back: torch.Tensor
    keys: torch.Tensor
    blocks: torch.Tensor
    query_blocks: torch.Tensor
    key_blocks: torch.Tensor


def band_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, shape: BandShape
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend through the mask that fits each head.

    Args:
        query: [B, H, Sq, D] in (frame, row, column) order.
        key, value: [B, H, prefix + Sk, D].
        shape: of the band.

    Returns:
        (output like ``query``, whether a head is temporal: bool [B, H]).
    """
    batch, heads, _, width = query.shape
    device = query.device
    temporal = classify(query, key, value, shape)
    q, k, v = (x.reshape(batch * heads, 1, -1, width) for x in (query, key, value))
    out = torch.empty_like(q)
    for kind, chosen in ((False, ~temporal), (True, temporal)):
        rows = chosen.flatten().nonzero().flatten()
        if not len(rows):
            continue
        band = _band(shape, kind, device)
        own = [x.index_select(0, rows) for x in (q, k, v)]
        if kind:  # spatial heads are in order already
            orders = band.queries, band.keys, band.keys
            own = [x.index_select(2, order) for x, order in zip(own, orders, strict=True)]
        layout, lists = _lists(shape, kind, len(rows), device)
        made = block_sparse_attention(own[0], own[1], own[2], layout, lists)
        out[rows] = made.index_select(2, band.back) if kind else made
    return out.view(query.shape), temporal


def classify(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, shape: BandShape) -> torch.Tensor:
    """Return which heads are temporal, bool [B, H]: their mean squared error through that mask is the smaller one."""
    count = query.shape[2]
    rows = torch.linspace(0, count - 1, min(ROWS, count), device=query.device).round().long()
    scores = torch.matmul(query.index_select(2, rows), key.transpose(-1, -2)).float() * query.shape[-1] ** -0.5
    whole = torch.matmul(scores.softmax(dim=-1).to(value.dtype), value).float()
    errors = []
    for temporal in (False, True):
        weights = scores.masked_fill(~seen_keys(shape, temporal, rows), -torch.inf).softmax(dim=-1)
        part = torch.matmul(weights.to(value.dtype), value).float()
        errors.append((part - whole).square().mean(dim=(-1, -2)))
    return errors[1] < errors[0]


def seen_keys(shape: BandShape, temporal: bool, rows: torch.Tensor) -> torch.Tensor:
    """Return which keys some queries see through a mask: bool [R, prefix + Sk], all in the usual order.

    Args:
        shape: of the band.
        temporal: kind of the head.
        rows: int64 [R], the queries.
    """
    band = _band(shape, temporal, rows.device)
    own = band.blocks.index_select(0, band.query_blocks.index_select(0, rows)).index_select(1, band.key_blocks)
    return torch.cat((own.new_ones(len(own), shape.prefix), own), dim=1)


@lru_cache(maxsize=64)
def _band(shape: BandShape, temporal: bool, device: torch.device) -> Band:
    frames = max(shape.queries[1], shape.keys[1])
    (queries, q), (keys, k) = (_order(each, shape.places, frames, temporal) for each in (shape.queries, shape.keys))
    edges = [_ends(indices) for indices in (q, k)]
    (q_low, q_high), (k_low, k_high) = edges
    near = (k_low[None] < q_high[:, None] + shape.tokens) & (k_high[None] > q_low[:, None] - shape.tokens)
    own = np.concatenate([np.arange(shape.prefix), shape.prefix + keys])
    back, places = np.argsort(queries), np.argsort(keys)

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    blocks = (tensor(order // LONGEST_TILE) for order in (back, places))
    return Band(tensor(queries), tensor(back), tensor(own), tensor(near), *blocks)


def _order(frames: tuple[int, int], places: int, every: int, temporal: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the usual position of the tokens of some frames in the order of a kind of head, and their index in it."""
    frame, place = (axis.ravel() for axis in np.mgrid[frames[0] : frames[1], 0:places])
    index = place * every + frame if temporal else frame * places + place
    order = np.argsort(index)
    return order, index[order]


def _ends(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last index of every block."""
    starts = np.arange(0, len(indices), LONGEST_TILE)
    return indices[starts], indices[np.append(starts[1:], len(indices)) - 1]


@lru_cache(maxsize=256)
def _lists(shape: BandShape, temporal: bool, heads: int, device: torch.device) -> tuple[TileLayout, TileLists]:
    """Return blocks and lists for ``heads`` heads of one kind, each of them a batch entry."""
    band = _band(shape, temporal, device)
    tables = []
    for count, first in ((len(band.queries), 0), (len(band.keys) - shape.prefix, shape.prefix)):
        starts = np.arange(0, count, LONGEST_TILE)
        lengths = np.minimum(LONGEST_TILE, count - starts)
        tables.append(tile_table([starts + first] * heads, [lengths] * heads, device, "band"))
    layout = tile_layout(tables[0], tables[1], [[(0, shape.prefix)] if shape.prefix else []] * heads)
    blocks = band.blocks.cpu().numpy()
    counts = blocks.sum(axis=1)
    indices = np.argsort(~blocks, axis=1, kind="stable")[:, : counts.max()]
    every = (heads, 1, *indices.shape)
    lists = tile_lists(torch.from_numpy(indices).expand(every), torch.from_numpy(counts).expand(every[:3]), layout)
    return layout, lists
