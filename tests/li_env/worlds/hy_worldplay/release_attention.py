"""The block-sparse attention of the Light Interaction release with its zero tokens, for comparison only.

The release fills tiles and text up to blocks of 128 tokens with zeros and lets these take part in means, choice and
softmax. This stands in for `SparseAttention` with the same methods; tokens stay in usual order outside of attention.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import pad, scaled_dot_product_attention

from li_env.accel.plan import AttentionPlan
from li_env.kernels.tile_order import TileOrder, tile_order
from li_env.worlds.common.tile_attention import ChunkShape

BLOCK = 128
FEWEST = 7


def filled(x: torch.Tensor, order: TileOrder) -> torch.Tensor:
    """Tokens [B, H, S, D] in usual order -> blocks [B, H, tiles, 128, D], zeros behind the tokens of a tile."""
    tiles = order.to_tiles(x, 2).split(order.lengths.tolist(), dim=2)
    return torch.stack([pad(tile, (0, 0, 0, BLOCK - tile.shape[2])) for tile in tiles], dim=2)


def text_blocks(x: torch.Tensor) -> torch.Tensor:
    """Text tokens [B, H, L, D] -> [B, H, blocks * 128, D]."""
    return pad(x, (0, 0, 0, -x.shape[2] % BLOCK))


class ReleasePass:
    """One kind of call; see `li_env.worlds.common.tile_attention.TilePass`."""

    def __init__(self, shape: ChunkShape, frames: int, history: int, ratio: float) -> None:
        self._shape, self._frames, self._history, self._ratio = shape, frames, history, ratio
        self._queries = tile_order((frames, *shape.grid), shape.tile)
        self._keys = tile_order((history + frames, *shape.grid), shape.tile)

    @property
    def token_frames(self) -> torch.Tensor:
        tokens = self._shape.grid[0] * self._shape.grid[1]
        return torch.arange(self._frames, dtype=torch.int32).repeat_interleave(tokens)

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def rows(self, x: torch.Tensor, dim: int) -> torch.Tensor:
        return x

    def back(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1, 2).unflatten(1, (self._frames, -1))

    def attend_joined(
        self, block: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, history: object
    ) -> torch.Tensor:
        if block == 0:
            return scaled_dot_product_attention(query, key, value)
        text = self._shape.prefix
        queries, keys, values = (
            filled(x, order)
            for x, order in (
                (query, self._queries),
                (key[:, :, text:], self._keys),
                (value[:, :, text:], self._keys),
            )
        )
        chosen = self._choose(queries.mean(dim=3), keys.mean(dim=3))  # [B, H, query tiles, key tiles]
        words = text_blocks(key[:, :, :text])
        all_keys = torch.cat((words, keys.flatten(2, 3)), dim=2)
        all_values = torch.cat((text_blocks(value[:, :, :text]), values.flatten(2, 3)), dim=2)
        seen = torch.cat((torch.ones(*chosen.shape[:3], words.shape[2]).bool(), chosen.repeat_interleave(BLOCK, 3)), 3)
        mask = seen.repeat_interleave(BLOCK, dim=2)
        out = scaled_dot_product_attention(queries.flatten(2, 3), all_keys, all_values, attn_mask=mask)
        tiles = out.unflatten(2, (-1, BLOCK)).unbind(2)
        tokens = [tile[:, :, :length] for tile, length in zip(tiles, self._queries.lengths.tolist(), strict=True)]
        return self._queries.to_grid(torch.cat(tokens, dim=2), 2)

    def _choose(self, query_means: torch.Tensor, key_means: torch.Tensor) -> torch.Tensor:
        scores = query_means @ key_means.transpose(-1, -2) * query_means.shape[-1] ** -0.5
        own = len(self._queries.lengths)
        if self._history:
            candidates = scores.shape[-1] - own
            scores[..., candidates:] = torch.inf  # the chunk itself is always seen
            budget = own + max(1, int(self._ratio * candidates))
        else:
            near = torch.from_numpy(self._queries.neighbours(1).astype(np.bool_))
            scores = scores.masked_fill(near, torch.inf)
            budget = max(int(self._ratio * own), FEWEST)
        best = scores.topk(min(budget, scores.shape[-1]), dim=-1).indices
        return torch.zeros_like(scores).bool().scatter(-1, best, True)


class ReleaseAttention:
    """See `li_env.worlds.common.tile_attention.SparseAttention`."""

    def __init__(self, plan: AttentionPlan, shape: ChunkShape, device: torch.device) -> None:
        self.context = ReleasePass(shape, shape.context, 0, plan.context_ratio)
        self.denoising = ReleasePass(shape, shape.current, shape.context, plan.decode_ratio)
