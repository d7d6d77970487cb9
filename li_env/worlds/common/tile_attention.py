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

from li_env.accel.plan import AttentionPlan
from li_env.kernels.attention import attend, attend_joined
from li_env.kernels.block_select import SelectionPlan, block_select, selection_plan, tile_means
from li_env.kernels.block_sparse_attention import block_sparse_attention
from li_env.kernels.tile_order import TileOrder, tile_layout, tile_order, tile_table

BRANCHES = 2
"""Batch entries per episode: branches R and P choose their tiles independently."""

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
        selection: budgets and layout; 2 * batch entries.
    """

    order: TileOrder
    frames: torch.Tensor
    token_frames: torch.Tensor
    selection: SelectionPlan


class TilePass:
    """Attention of one pass of one chunk: its context pass or its denoising calls.

    Args:
        layout: tile order and tiles of this pass.
        dense_first_block: block 0 attends to everything.
        chooses_history: the tiles to choose from lie in the given context (denoising), not among the pass's own tokens
            (context pass). Their means are then computed once per block and kept.
    """

    def __init__(self, layout: PassLayout, dense_first_block: bool, chooses_history: bool) -> None:
        self._layout = layout
        self._dense_first_block = dense_first_block
        self._chooses_history = chooses_history
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
        if block == 0 and self._dense_first_block:
            return attend(query, keys, values)
        key = keys[0] if len(keys) == 1 else torch.cat(tuple(keys), dim=2)
        value = values[0] if len(values) == 1 else torch.cat(tuple(values), dim=2)
        return self.attend_joined(block, query, key, value, keys[0])

    def attend_joined(
        self, block: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, history: object
    ) -> torch.Tensor:
        """Compute the same for keys and values [2 * B, H, S, D] that already lie in one tensor.

        ``history`` stands for the history in them: as long as it is the same object, so are the means of its tiles.
        """
        if block == 0 and self._dense_first_block:
            return attend_joined(query, key, value)
        selection = self._layout.selection
        key_means = self._history_means(block, key, history) if self._chooses_history else self._tile_means(key)
        lists = block_select(tile_means(query, selection.layout.queries), key_means, selection)
        return block_sparse_attention(query, key, value, selection.layout, lists)

    def _history_means(self, block: int, key: torch.Tensor, history: object) -> torch.Tensor:
        """Return the means of the history's tiles, which all steps of a chunk share."""
        kept = self._means.get(block)
        if kept is None or kept[0] is not history:
            kept = self._means[block] = history, self._tile_means(key)
        return kept[1]

    def _tile_means(self, key: torch.Tensor) -> torch.Tensor:
        return tile_means(key, self._layout.selection.layout.keys)


class SparseAttention:
    """A block-sparse attention plan, ready for one chunk of a batch. Make a new one for every chunk.

    Attributes:
        context: for `VideoTransformer.context_pass`.
        denoising: for `VideoTransformer.forward`; takes the keys and values that the context pass left in tile order.

    Args:
        plan: of kind ``block_sparse``.
        shape: of the chunk.
        device: of the tensors.

    Raises:
        ValueError: a dense plan, an empty context, a ratio outside (0, 1], or tiles of more than 128 tokens.
    """

    def __init__(self, plan: AttentionPlan, shape: ChunkShape, device: torch.device | str = "cpu") -> None:
        if plan.kind != "block_sparse":
            raise ValueError(f"kind={plan.kind!r}: block_sparse is needed")
        if shape.context < 1:
            raise ValueError(f"context={shape.context!r}: at least 1 latent is needed")
        context = _context_layout(shape._replace(current=0), plan.context_ratio, torch.device(device))
        denoising = _denoising_layout(shape, plan.decode_ratio, torch.device(device))
        self.context = TilePass(context, plan.dense_first_block, chooses_history=False)
        self.denoising = TilePass(denoising, plan.dense_first_block, chooses_history=True)


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


def _pass_layout(order: TileOrder, selection: SelectionPlan) -> PassLayout:
    frames = order.permutation.cpu().numpy() // (order.grid[1] * order.grid[2])
    ends = np.append(1 + np.flatnonzero(np.diff(frames)), frames.size)
    # All spans are equally long.
    spans = frames[:: int(np.gcd.reduce(ends))].copy()
    device = order.permutation.device
    return PassLayout(order, torch.from_numpy(spans).to(device), torch.from_numpy(frames).int().to(device), selection)
