"""Ragged attention problems with NaN around every tile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from li_env.kernels.block_select import TileLists, tile_lists
from li_env.kernels.tile_order import TileLayout, tile_layout, tile_table


@dataclass(frozen=True)
class Problem:
    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    layout: TileLayout
    lists: TileLists


def scatter(lengths: list[int], rng: np.random.Generator, first: int = 0) -> np.ndarray:
    """Starts of tiles of these lengths with gaps of 0 to 3 tokens in front of each."""
    gaps = rng.integers(0, 4, size=len(lengths))
    return (
        first + np.cumsum(gaps) + np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(int)
        if lengths
        else np.zeros(0, int)
    )


def make_problem(
    query_lengths: list[list[int]],
    key_lengths: list[list[int]],
    always: list[list[int]],
    heads: int = 2,
    width: int = 32,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    keep: float = 0.5,
    seed: int = 0,
) -> Problem:
    """Make a problem; ``always`` are lengths of always-kept ranges; lists keep a share ``keep`` of the tiles."""
    rng = np.random.default_rng(seed)
    query_starts = [scatter(lengths, rng) for lengths in query_lengths]
    range_starts = [scatter(lengths, rng) for lengths in always]
    ends = [int(s[-1] + n[-1]) if n else 0 for s, n in zip(range_starts, always, strict=True)]
    key_starts = [scatter(lengths, rng, first=end + 2) for lengths, end in zip(key_lengths, ends, strict=True)]
    layout = tile_layout(
        tile_table(query_starts, query_lengths, device),
        tile_table(key_starts, key_lengths, device),
        [
            [(int(s), int(s + n)) for s, n in zip(ss, ns, strict=True)]
            for ss, ns in zip(range_starts, always, strict=True)
        ],
    )
    batch, query_tiles = layout.queries.entries.shape
    query_tokens = layout.queries.extent + 3
    key_tokens = max([layout.keys.extent, *ends]) + 3
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(batch, heads, query_tokens, width, generator=generator)
    key = torch.randn(batch, heads, key_tokens, width, generator=generator)
    value = torch.randn(batch, heads, key_tokens, width, generator=generator)
    query, key, value = (x.to(dtype) for x in (query, key, value))
    used_queries, used_keys = (
        torch.zeros(batch, query_tokens, dtype=torch.bool),
        torch.zeros(batch, key_tokens, dtype=torch.bool),
    )
    for b in range(batch):
        for start, length in zip(query_starts[b], query_lengths[b], strict=True):
            used_queries[b, start : start + length] = True
        for starts, lengths in ((key_starts, key_lengths), (range_starts, always)):
            for start, length in zip(starts[b], lengths[b], strict=True):
                used_keys[b, start : start + length] = True
    query.masked_fill_(~used_queries[:, None, :, None], torch.nan)
    key.masked_fill_(~used_keys[:, None, :, None], torch.nan)
    value.masked_fill_(~used_keys[:, None, :, None], torch.nan)

    longest = max(1, *(len(lengths) for lengths in key_lengths), 1)
    indices = torch.zeros(batch, heads, query_tiles, longest, dtype=torch.int64)
    counts = torch.zeros(batch, heads, query_tiles, dtype=torch.int64)
    for b in range(batch):
        tiles = len(key_lengths[b])
        for head in range(heads):
            for tile in range(len(query_lengths[b])):
                chosen = (
                    rng.permutation(tiles)[: max(int(tiles > 0), round(keep * tiles))] if keep < 1 else np.arange(tiles)
                )
                indices[b, head, tile, : chosen.size] = torch.from_numpy(chosen)
                counts[b, head, tile] = chosen.size
    lists = tile_lists(indices, counts, layout)
    return Problem(query.to(device), key.to(device), value.to(device), layout, lists)


def used_rows(problem: Problem) -> torch.Tensor:
    """bool [B, Sq]: rows that lie in a query tile."""
    mask = torch.zeros(problem.query.shape[0], problem.query.shape[2], dtype=torch.bool, device=problem.query.device)
    for b, (starts, lengths) in enumerate(
        zip(problem.layout.queries.starts.tolist(), problem.layout.queries.lengths.tolist(), strict=True)
    ):
        for start, length in zip(starts, lengths, strict=True):
            mask[b, start : start + length] = True
    return mask


def relative_rms(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Root mean square of the difference over root mean square of what is expected; NaN if anything is NaN."""
    difference = actual.double() - expected.double()
    return float(difference.pow(2).mean().sqrt() / expected.double().pow(2).mean().sqrt())
