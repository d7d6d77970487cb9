"""Block-sparse attention of the Light Interaction release, with its zeros (docs/spec/matrix_game_3.md, section 12)."""

from __future__ import annotations

import itertools

import torch

TILE = (4, 4, 8)
FEWEST = 7


def release_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, grid: tuple[int, int, int], ratio: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """All tensors [B, H, T * H * W, D] in (frame, row, column) order.

    Every tile is filled up with zeros, which take part in the means and in the softmax.

    Returns:
        (output like ``query``, chosen key tiles [B, H, tiles, budget], increasing).
    """
    counts = tuple(-(-size // extent) for size, extent in zip(grid, TILE, strict=True))
    q, k, v = (_tiles(x, grid, counts) for x in (query, key, value))  # [B, H, tiles, 128, D]
    means = [torch.nn.functional.normalize(x.float().mean(dim=3), dim=-1) for x in (q, k)]
    scores = means[0] @ means[1].transpose(-1, -2)
    cells = torch.tensor(list(itertools.product(*(range(count) for count in counts))))
    scores = scores + 1e6 * ((cells[:, None] - cells[None]).abs().sum(dim=-1) <= 1)
    tiles = len(cells)
    budget = min(max(int(ratio * tiles), FEWEST), tiles)
    chosen = scores.topk(budget, dim=-1).indices.sort(dim=-1).values
    outputs = torch.empty_like(q)
    for tile in range(tiles):
        index = chosen[:, :, tile, :, None, None].expand(-1, -1, -1, *k.shape[3:])
        keys, values = (x.gather(2, index).flatten(2, 3) for x in (k, v))
        weights = (q[:, :, tile] @ keys.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(dim=-1)
        outputs[:, :, tile] = weights @ values
    return _untile(outputs, grid, counts), chosen


def _tiles(x: torch.Tensor, grid: tuple[int, int, int], counts: tuple[int, ...]) -> torch.Tensor:
    x = x.unflatten(2, grid)
    missing = [count * extent - size for count, extent, size in zip(counts, TILE, grid, strict=True)]
    x = torch.nn.functional.pad(x, (0, 0, 0, missing[2], 0, missing[1], 0, missing[0]))
    for axis, extent in ((2, TILE[0]), (4, TILE[1]), (6, TILE[2])):
        x = x.unflatten(axis, (-1, extent))
    return x.permute(0, 1, 2, 4, 6, 3, 5, 7, 8).flatten(5, 7).flatten(2, 4)


def _untile(x: torch.Tensor, grid: tuple[int, int, int], counts: tuple[int, ...]) -> torch.Tensor:
    x = x.unflatten(2, counts).unflatten(5, TILE).permute(0, 1, 2, 5, 3, 6, 4, 7, 8)
    x = x.flatten(6, 7).flatten(4, 5).flatten(2, 3)
    return x[:, :, : grid[0], : grid[1], : grid[2]].flatten(2, 4)
