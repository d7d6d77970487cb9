"""Tiles of a ragged batch: small int32 tables, checked on the CPU when they are made.

A kernel reads one int32 per tile, ``start * 256 + length``: one load instead of two in its innermost loop. The tables
are made once per chunk and used by every layer and step, so nothing is checked or copied per call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

LONGEST_TILE = 128
"""Most tokens in a tile: the largest block of the matrix units that a kernel works on."""

SMALLEST_BLOCK = 16
_LENGTH_BITS = 8
_MOST_TOKENS = 2 ** (31 - _LENGTH_BITS)


def pack(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Pack each tile into one int32: ``start * 256 + length``."""
    return ((np.asarray(starts, dtype=np.int64) << _LENGTH_BITS) | np.asarray(lengths)).astype(np.int32)


def block_of(longest: int) -> int:
    """Return the kernel block that holds a tile of ``longest`` tokens: the next power of two, at least 16."""
    return max(SMALLEST_BLOCK, 1 << (longest - 1).bit_length())


@dataclass(frozen=True, eq=False)
class TileTable:
    """Tiles of a batch on their token axes. Make one with `tile_table`.

    Attributes:
        entries: int32 [B, N], ``start * 256 + length``; 0 past a batch entry's last tile.
        counts: tiles per batch entry.
        longest: most tokens in a tile.
        extent: tokens that a tensor must at least have: the largest start + length.
        covered: tokens per batch entry that lie in a tile.
    """

    entries: torch.Tensor
    counts: tuple[int, ...]
    longest: int
    extent: int
    covered: tuple[int, ...]

    @property
    def starts(self) -> torch.Tensor:
        """int32 [B, N], first token of every tile."""
        return self.entries >> _LENGTH_BITS

    @property
    def lengths(self) -> torch.Tensor:
        """int32 [B, N], tokens in every tile; 0 past a batch entry's last tile."""
        return self.entries & (2**_LENGTH_BITS - 1)


def tile_table(
    starts: Sequence[Sequence[int] | np.ndarray],
    lengths: Sequence[Sequence[int] | np.ndarray],
    device: torch.device | str = "cpu",
    name: str = "tiles",
) -> TileTable:
    """Make the table of the tiles of B batch entries, one sequence of starts and one of lengths per entry.

    Args:
        starts: first token of every tile; batch entries may have different numbers of tiles, none at all included.
        lengths: tokens per tile, 1 to 128.
        device: where the kernels will read it.
        name: what error messages call it.

    Raises:
        ValueError: a start or length out of range, or two tiles of a batch entry that overlap.
    """
    if len(starts) != len(lengths) or not starts:
        raise ValueError(
            f"{name}: batch of {len(starts)} in starts, {len(lengths)} in lengths: equal and at least 1 needed"
        )
    tiles = []
    for b, (first, size) in enumerate(zip(starts, lengths, strict=True)):
        begin, length = np.asarray(first, dtype=np.int64), np.asarray(size, dtype=np.int64)
        where = f"{name}[{b}]"
        if begin.ndim != 1 or begin.shape != length.shape:
            raise ValueError(f"{where}: starts {begin.shape} and lengths {length.shape} must be equally long lists")
        if length.size:
            if length.min() < 1 or length.max() > LONGEST_TILE:
                wrong = length[(length < 1) | (length > LONGEST_TILE)][0]
                raise ValueError(f"{where}: tile of {wrong} tokens: allowed are 1 to {LONGEST_TILE}")
            if begin.min() < 0 or (begin + length).max() > _MOST_TOKENS:
                raise ValueError(f"{where}: tiles must lie in [0, {_MOST_TOKENS}), not {begin.min()}..{begin.max()}")
            order = np.argsort(begin, kind="stable")
            ends = (begin + length)[order]
            if np.any(ends[:-1] > begin[order][1:]):
                at = int(begin[order][1:][ends[:-1] > begin[order][1:]][0])
                raise ValueError(f"{where}: two tiles overlap at token {at}")
        tiles.append((begin, length))
    entries = np.zeros((len(tiles), max(1, *(begin.size for begin, _ in tiles), 1)), dtype=np.int32)
    for b, (begin, length) in enumerate(tiles):
        entries[b, : begin.size] = pack(begin, length)
    return TileTable(
        entries=torch.from_numpy(entries).to(device),
        counts=tuple(begin.size for begin, _ in tiles),
        longest=max((int(length.max()) for _, length in tiles if length.size), default=1),
        extent=max((int((begin + length).max()) for begin, length in tiles if length.size), default=0),
        covered=tuple(int(length.sum()) for _, length in tiles),
    )


@dataclass(frozen=True, eq=False)
class RangeTable:
    """Key ranges that every query of a batch entry attends to, cut into blocks. Part of a `TileLayout`.

    Attributes:
        entries: int32 [B, A], ``start * 256 + length`` of every piece, the full ones of a batch entry first.
        counts: int32 [B, 2], number of full pieces and of all pieces.
        ranges: the (first, past the last) tokens they were made from.
    """

    entries: torch.Tensor
    counts: torch.Tensor
    ranges: tuple[tuple[tuple[int, int], ...], ...]


@dataclass(frozen=True, eq=False)
class TileLayout:
    """Everything about token ranges that block-sparse attention needs, for all layers and steps of a chunk.

    Attributes:
        queries: tiles of the query axis.
        keys: tiles of the key axis that lists may name (the history).
        always: key ranges that all queries attend to (text, the current chunk).
        block: tokens of a full tile: the block that the kernel runs without a mask.
    """

    queries: TileTable
    keys: TileTable
    always: RangeTable
    block: int


def tile_layout(
    queries: TileTable,
    keys: TileTable,
    always: Sequence[Sequence[tuple[int, int]]] = (),
) -> TileLayout:
    """Join query tiles, selectable key tiles and always-kept key ranges of the same batch entries.

    Args:
        queries, keys: from `tile_table`, on one device.
        always: per batch entry a list of (first token, past the last token) of the keys that every query attends to, of
            any length; empty for none.

    Raises:
        ValueError: different batch sizes or devices, a bad range, ranges that overlap each other or a tile (such keys
            would count twice), or a batch entry without any keys.
    """
    batch = len(queries.counts)
    ranges = [list(b) for b in always] or [[] for _ in range(batch)]
    if len(keys.counts) != batch or len(ranges) != batch:
        raise ValueError(
            f"batch: {batch} in queries, {len(keys.counts)} in keys, {len(ranges)} in always: must be equal"
        )
    device = queries.entries.device
    if keys.entries.device != device:
        raise ValueError(f"keys are on {keys.entries.device}, queries on {device}: one device is needed")
    block = block_of(keys.longest if any(keys.counts) else LONGEST_TILE)
    starts, lengths = keys.starts.cpu().numpy(), keys.lengths.cpu().numpy()
    rows, counts = [], []
    for b, own in enumerate(ranges):
        for first, stop in own:
            if not 0 <= first < stop <= _MOST_TOKENS:
                raise ValueError(f"always[{b}]: range ({first}, {stop}): 0 <= first < stop <= {_MOST_TOKENS} needed")
        spans = sorted([*own, *((int(s), int(s + n)) for s, n in zip(starts[b], lengths[b], strict=True) if n)])
        for (_, end), (begin, _) in pairwise(spans):
            if end > begin:
                raise ValueError(f"always[{b}]: overlaps another range or a key tile at token {begin}")
        if not spans:
            raise ValueError(f"keys[{b}]: empty context: at least one key tile or always-kept range is needed")
        pieces = [(at, min(block, stop - at)) for first, stop in own for at in range(first, stop, block)]
        pieces.sort(key=lambda piece: piece[1] < block)
        rows.append(pieces)
        counts.append((sum(size == block for _, size in pieces), len(pieces)))
    entries = np.zeros((batch, max(1, *(len(row) for row in rows), 1)), dtype=np.int32)
    for b, row in enumerate(rows):
        if row:
            entries[b, : len(row)] = pack(*np.asarray(row).T)
    table = RangeTable(
        entries=torch.from_numpy(entries).to(device),
        counts=torch.tensor(counts, dtype=torch.int32, device=device),
        ranges=tuple(tuple((int(first), int(stop)) for first, stop in own) for own in ranges),
    )
    return TileLayout(queries=queries, keys=keys, always=table, block=block)
