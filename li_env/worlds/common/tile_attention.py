"""Block-sparse attention for the shared transformer: the tiles of a chunk, and the tiles that each of them sees.

Tokens are brought into tile order before the first block and back after the last one. Everything but attention works
token by token, so nothing is reordered in between. The keys and values of the context pass stay in tile order for the
denoising calls. Every query tile sees the text, the current chunk, and the best tiles of the history.

Source: arXiv 2605.31158; docs/spec/hy_worldplay.md, sections 9.4 and 10.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import normalize

from li_env.accel.plan import AttentionPlan, TileScores
from li_env.kernels.attention import attend, attend_joined
from li_env.kernels.block_select import SelectionPlan, block_select, selection_plan, tile_means
from li_env.kernels.block_sparse_attention import block_sparse_attention
from li_env.kernels.tile_order import TileOrder, TileTable, tile_layout, tile_order, tile_table
from li_env.worlds.common.band_attention import BandShape, band_attention

BRANCHES = 2
"""Batch entries per episode: branches R and P choose their tiles independently."""

BSA_TILE = (4, 4, 8)
"""Latents, rows and columns of a tile in LongCat's block-sparse attention."""

FEWEST_CONTEXT_TILES = 7
"""Tiles that the context pass keeps at least: a tile and its six neighbours."""


class ChunkShape(NamedTuple):
    """Sizes that decide a tile layout: equal for every chunk of an episode that has its full context.

    ``grid`` is (rows, columns) of tokens per latent, ``tile`` (latents, rows, columns) of a tile; ``context`` and
    ``current`` are numbers of latents, ``prefix`` is the number of text tokens in front of the context.
    """

    grid: tuple[int, int]
    tile: tuple[int, int, int]
    context: int
    current: int
    batch: int
    prefix: int = 0


@dataclass(frozen=True, eq=False)
class PassLayout:
    """Tile order of the tokens of one pass, and the tiles that its queries choose from.

    A span is a stretch of tile-ordered tokens from one frame. All spans are equally long. The transformer keeps
    modulation and camera matrices per span instead of per frame.

    Attributes:
        order: of the pass's own tokens.
        frames: int64 [spans], the frame of every span.
        token_frames: int32 [tokens], the frame of every token in tile order.
        selection: budgets and layout, 2 * batch entries; None where no tiles are chosen.
    """

    order: TileOrder
    frames: torch.Tensor
    token_frames: torch.Tensor
    selection: SelectionPlan | None


class TilePass:
    """Attention of one pass of one chunk: its context pass or its denoising calls.

    Args:
        layout: tile order and tiles of this pass.
        plan: the attention plan, which says what stays dense and how tiles are scored.
        denoising: whether this is the pass of the denoising calls, whose first block begins a step.
        chooses_history: the tiles to choose from lie in the given context alone, not among the pass's own tokens. Their
            means are then computed once per block and kept.
    """

    def __init__(self, layout: PassLayout, plan: AttentionPlan, denoising: bool, chooses_history: bool) -> None:
        self._layout, self._plan = layout, plan
        self._chooses_history = chooses_history
        self._step = -1 if denoising else None
        self._means: dict[int, tuple[object, torch.Tensor]] = {}

    @property
    def token_frames(self) -> torch.Tensor:
        """The frame of every token in tile order, int32 [S]."""
        return self._layout.token_frames

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        """Bring per-token values [B, T, n, C] into tile order [B, spans, tokens per span, C].

        Raises:
            ValueError: numbers of frames or tokens other than those that the pass was made for.
        """
        frames, rows, columns = self._layout.order.grid
        if x.shape[1:3] != (frames, rows * columns):
            raise ValueError(f"x: {tuple(x.shape[1:3])} frames and tokens: {(frames, rows * columns)} are needed")
        return self._layout.order.to_tiles(x.flatten(1, 2), 1).unflatten(1, (len(self._layout.frames), -1))

    def rows(self, x: torch.Tensor, dim: int) -> torch.Tensor:
        """Bring per-token values whose T * n tokens lie along ``dim`` into tile order."""
        return self._layout.order.to_tiles(x, dim)

    def spans(self, x: torch.Tensor) -> torch.Tensor:
        """Repeat per-frame values [B, T, ...] per span [B, spans, ...]."""
        return x.index_select(1, self._layout.frames)

    def back(self, x: torch.Tensor) -> torch.Tensor:
        """Invert `tokens`."""
        order = self._layout.order
        return order.to_grid(x.flatten(1, 2), 1).unflatten(1, (order.grid[0], -1))

    def attend(
        self, block: int, query: torch.Tensor, keys: Sequence[torch.Tensor], values: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Compute attention of transformer block ``block``; arguments and result as `li_env.kernels.attention.attend`.

        All segments but a text prefix are in tile order.
        """
        if self._begin(block):
            return attend(query, keys, values)
        key = keys[0] if len(keys) == 1 else torch.cat(tuple(keys), dim=2)
        value = values[0] if len(values) == 1 else torch.cat(tuple(values), dim=2)
        return self._attend_sparse(block, query, key, value, keys[0])

    def attend_joined(
        self, block: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, history: object
    ) -> torch.Tensor:
        """Compute the same for keys and values [2 * B, H, S, D] that already lie in one tensor.

        ``history`` stands for the history in them: as long as it is the same object, so are the means of its tiles.
        """
        if self._begin(block):
            return attend_joined(query, key, value)
        return self._attend_sparse(block, query, key, value, history)

    def _begin(self, block: int) -> bool:
        """Count the step that block 0 begins, and return whether this block is dense in it."""
        if block == 0 and self._step is not None:
            self._step += 1
        return self._plan.is_dense(block, None if self._step is None else max(0, self._step))

    def _attend_sparse(
        self, block: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, history: object
    ) -> torch.Tensor:
        selection = self._layout.selection
        assert selection is not None
        key_means = self._history_means(block, key, history, selection) if self._chooses_history else None
        key_means = self._scored(key, selection.layout.keys) if key_means is None else key_means
        lists = block_select(self._scored(query, selection.layout.queries), key_means, selection)
        return block_sparse_attention(query, key, value, selection.layout, lists)

    def _history_means(self, block: int, key: torch.Tensor, history: object, selection: SelectionPlan) -> torch.Tensor:
        """Return the means of the history's tiles, which all steps of a chunk share."""
        kept = self._means.get(block)
        if kept is None or kept[0] is not history:
            kept = self._means[block] = history, self._scored(key, selection.layout.keys)
        return kept[1]

    def _scored(self, x: torch.Tensor, table: TileTable) -> torch.Tensor:
        """Return the means of tiles as their scores need them: of length 1 for a cosine."""
        return score_means(x, table, self._plan.tile_scores)


def score_means(x: torch.Tensor, table: TileTable, scores: TileScores) -> torch.Tensor:
    """Return `tile_means` of ``x``, scaled to length 1 where tiles are scored by their cosine."""
    means = tile_means(x, table)
    return means if scores == "product" else normalize(means, dim=-1)


class BandPass(TilePass):
    """Attention of one pass through the bands of Sparse VideoGen; tokens stay in the usual order.

    Args:
        layout: without a choice of tiles.
        plan: of kind ``svg``.
        denoising: as in `TilePass`.
        band: sizes of the band.
    """

    def __init__(self, layout: PassLayout, plan: AttentionPlan, denoising: bool, band: BandShape) -> None:
        super().__init__(layout, plan, denoising, chooses_history=False)
        self._band = band

    def _attend_sparse(
        self, block: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, history: object
    ) -> torch.Tensor:
        return band_attention(query, key, value, self._band)[0]


class SparseAttention:
    """A plan of attention that leaves out keys, ready for one chunk of a batch. Make a new one for every chunk.

    Attributes:
        context: for `VideoTransformer.context_pass`.
        denoising: for `VideoTransformer.forward`; takes the keys and values that the context pass left in tile order.

    Args:
        plan: of any kind but ``dense``.
        shape: of the chunk.
        device: of the tensors.

    Raises:
        ValueError: a dense plan, an empty context, a ratio outside (0, 1], or tiles of more than 128 tokens.
    """

    def __init__(self, plan: AttentionPlan, shape: ChunkShape, device: torch.device | str = "cpu") -> None:
        if plan.kind == "dense":
            raise ValueError(f"kind={plan.kind!r}: block_sparse, bsa or svg is needed")
        if shape.context < 1:
            raise ValueError(f"context={shape.context!r}: at least 1 latent is needed")
        where = torch.device(device)
        self.context, self.denoising = (_pass(plan, each, where) for each in (shape._replace(current=0), shape))


def _pass(plan: AttentionPlan, shape: ChunkShape, device: torch.device) -> TilePass:
    """Make the pass of the denoising calls, or the context pass if ``shape`` has no current latents."""
    denoising = shape.current > 0
    if plan.kind == "svg":
        end, (rows, columns) = shape.context + shape.current, shape.grid
        first = shape.context if denoising else 0
        band = BandShape(rows * columns, (first, end), (0, end), shape.prefix, plan.band_width)
        return BandPass(_plain_layout(shape, device), plan, denoising, band)
    if plan.kind == "bsa":
        shape = shape._replace(tile=BSA_TILE)
        ratio = plan.decode_ratio if denoising else plan.context_ratio
        return TilePass(_whole_layout(shape, ratio, device), plan, denoising, chooses_history=False)
    if denoising:
        return TilePass(_denoising_layout(shape, plan.decode_ratio, device), plan, True, chooses_history=True)
    return TilePass(_context_layout(shape, plan.context_ratio, device), plan, False, chooses_history=False)


@lru_cache(maxsize=64)
def _plain_layout(shape: ChunkShape, device: torch.device) -> PassLayout:
    """Lay out the tokens of a pass in the usual order."""
    frames = shape.current or shape.context
    return _pass_layout(tile_order((frames, *shape.grid), (1, *shape.grid), device=device), None)


@lru_cache(maxsize=64)
def _whole_layout(shape: ChunkShape, ratio: float, device: torch.device) -> PassLayout:
    """Lay out tokens that attend to the best tiles of everything, the text always: nothing else is protected."""
    history = tile_order((shape.context, *shape.grid), shape.tile, device=device)
    starts, lengths, own = history.starts, history.lengths, history
    if shape.current:
        own = tile_order((shape.current, *shape.grid), shape.tile, device=device)
        starts = np.concatenate([starts, own.starts + len(history.permutation)])
        lengths = np.concatenate([lengths, own.lengths])
    entries = BRANCHES * shape.batch
    queries = tile_table([own.starts] * entries, [own.lengths] * entries, device, "queries")
    keys = tile_table([starts + shape.prefix] * entries, [lengths] * entries, device, "keys")
    always = [(0, shape.prefix)] if shape.prefix else []
    return _pass_layout(own, selection_plan(tile_layout(queries, keys, [always] * entries), ratio))


@lru_cache(maxsize=64)
def _context_layout(shape: ChunkShape, ratio: float, device: torch.device) -> PassLayout:
    """Lay out context tokens that attend to each other: near tiles and the text always."""
    order = tile_order((shape.context, *shape.grid), shape.tile, device=device)
    entries = BRANCHES * shape.batch
    queries = tile_table([order.starts] * entries, [order.lengths] * entries, device, "context")
    keys = tile_table([order.starts + shape.prefix] * entries, [order.lengths] * entries, device, "context")
    always = [(0, shape.prefix)] if shape.prefix else []
    layout = tile_layout(queries, keys, [always] * entries)
    near = [order.neighbours()] * entries
    return _pass_layout(order, selection_plan(layout, ratio, FEWEST_CONTEXT_TILES, near))


@lru_cache(maxsize=64)
def _denoising_layout(shape: ChunkShape, ratio: float, device: torch.device) -> PassLayout:
    """Lay out tokens of the chunk that attend to the history's best tiles; the text and the chunk itself always."""
    order = tile_order((shape.current, *shape.grid), shape.tile, device=device)
    history = tile_order((shape.context, *shape.grid), shape.tile, device=device)
    entries = BRANCHES * shape.batch
    queries = tile_table([order.starts] * entries, [order.lengths] * entries, device, "current")
    keys = tile_table([history.starts + shape.prefix] * entries, [history.lengths] * entries, device, "history")
    seen = shape.prefix + len(history.permutation)
    always = [(seen, seen + len(order.permutation))]
    if shape.prefix:
        always.insert(0, (0, shape.prefix))
    layout = tile_layout(queries, keys, [always] * entries)
    return _pass_layout(order, selection_plan(layout, ratio))


def _pass_layout(order: TileOrder, selection: SelectionPlan | None) -> PassLayout:
    frames = order.permutation.cpu().numpy() // (order.grid[1] * order.grid[2])
    ends = np.append(1 + np.flatnonzero(np.diff(frames)), frames.size)
    # All spans are equally long.
    spans = frames[:: int(np.gcd.reduce(ends))].copy()
    device = order.permutation.device
    return PassLayout(order, torch.from_numpy(spans).to(device), torch.from_numpy(frames).int().to(device), selection)
