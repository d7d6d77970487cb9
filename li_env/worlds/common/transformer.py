"""The chunked autoregressive video transformer: one readable file for every world of the HY-WorldPlay kind.

A chunk of latents attends to [context | itself] without any mask. The context is a set of finished latents that runs
once per chunk (`ContextPass`) and leaves its keys and values behind; the denoising steps then only read them. Two
attention branches share their projections: branch R rotates queries and keys by per-token positions (RoPE), branch P
transforms them by per-frame camera matrices (ProPE). Source: docs/spec/hy_worldplay.md, section 3.

With a `TilePass` the same calls run block sparse in tile order. Frames are then cut into spans (`PassLayout`).

Parameter names follow the published HY-WorldPlay state dict, so that its weights load without renaming.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn.functional import gelu, layer_norm, silu

from li_env.kernels.attention import attend
from li_env.kernels.projective import apply_projective
from li_env.kernels.rotary import apply_rotary
from li_env.worlds.common.block_reuse import BlockReuse
from li_env.worlds.common.step_reuse import StepReuse
from li_env.worlds.common.tile_attention import TilePass


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of the transformer.

    ``modulation``: ``"block"`` gives every block its own projection of the frame vector (HY-WorldPlay), ``"shared"``
    one projection for all blocks plus a learned offset per block (fewer weights, for small worlds).
    ``action_labels``: every latent also carries the number of a discrete action.
    """

    in_channels: int
    out_channels: int
    hidden_size: int
    heads: int
    depth: int
    mlp_ratio: float = 4.0
    modulation: Literal["block", "shared"] = "block"
    action_labels: bool = False

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.heads


@dataclass(frozen=True)
class CameraTables:
    """Rotations and camera matrices of every token: computed once per pass, used by all blocks.

    Attributes:
        cos, sin: [B, 1, T * n, D / 2] float32, rotation of branch R.
        query_matrices: [B, T, 4, 4], P^T, applied to queries of branch P.
        key_matrices: [B, T, 4, 4], P^-1, applied to keys and values.
        output_matrices: [B, T, 4, 4], P, applied to the branch's output.
    """

    cos: torch.Tensor
    sin: torch.Tensor
    query_matrices: torch.Tensor
    key_matrices: torch.Tensor
    output_matrices: torch.Tensor

    def map(self, function) -> CameraTables:  # type: ignore[no-untyped-def]
        """Apply ``function`` to every table (to repeat or select batch entries)."""
        return CameraTables(*(function(getattr(self, name)) for name in self.__dataclass_fields__))

    def tiled(self, tiles: TilePass) -> CameraTables:
        """Return the tables for tokens in tile order, matrices per span instead of per frame."""
        matrices = (tiles.spans(each) for each in (self.query_matrices, self.key_matrices, self.output_matrices))
        return CameraTables(tiles.rows(self.cos, 2), tiles.rows(self.sin, 2), *matrices)


BlockCache = tuple[torch.Tensor, torch.Tensor]
"""Keys and values of one block, each [2 * B, H, S, D]: first the B entries of branch R, then those of branch P."""

Projections = tuple[torch.Tensor, torch.Tensor]
"""Keys and values of one block before its branches, each [B, S, C]: they do not depend on camera tables."""


def sinusoid(value: torch.Tensor, width: int = 256) -> torch.Tensor:
    """Compute [cos | sin] features of a scalar: [...] -> [..., width], float32.

    Source: docs/spec/hy_worldplay.md, section 3.1.
    """
    half = width // 2
    frequencies = torch.exp(
        -torch.log(torch.tensor(10000.0)) * torch.arange(half, device=value.device, dtype=torch.float32) / half
    )
    angles = value.float()[..., None] * frequencies
    return torch.cat((angles.cos(), angles.sin()), dim=-1)


class ScalarEmbedder(nn.Module):
    """Two-layer network on sinusoid features of a scalar (time or action label)."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(256, hidden_size), nn.SiLU(), nn.Linear(hidden_size, hidden_size))

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Embed [...] to [..., hidden_size]."""
        first: nn.Linear = self.mlp[0]  # type: ignore[assignment]
        out: torch.Tensor = self.mlp(sinusoid(value).to(first.weight.dtype))
        return out


class HeadNorm(nn.Module):
    """Root-mean-square norm of each head vector (eps 1e-6), weight [head_dim]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed = x.float() * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + 1e-6)
        return normed.to(x.dtype) * self.weight.to(x.dtype)


class Modulation(nn.Module):
    """SiLU then a linear layer to ``parts`` vectors of the hidden size."""

    def __init__(self, hidden_size: int, parts: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, parts * hidden_size)

    def forward(self, vector: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear(silu(vector))
        return out


class ModulationOffset(nn.Module):
    """A block's learned offset to the shared modulation."""

    def __init__(self, hidden_size: int, parts: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(parts * hidden_size))

    def forward(self, shared: torch.Tensor) -> torch.Tensor:
        return shared + self.bias.to(shared.dtype)


class FeedForward(nn.Module):
    """Linear, GELU (tanh), linear."""

    def __init__(self, hidden_size: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden_size, inner)
        self.fc2 = nn.Linear(inner, hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.fc2(gelu(self.fc1(x), approximate="tanh"))
        return out


def modulations(vector: torch.Tensor, parts: int, tiles: TilePass | None) -> tuple[torch.Tensor, ...]:
    """Cut [B, T, parts * C] into vectors [B, T, 1, C] that broadcast over the tokens of a frame (or span)."""
    return (vector if tiles is None else tiles.spans(vector))[:, :, None].chunk(parts, dim=-1)


def modulate(x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Normalise, then apply ``(1 + scale) * . + shift``; x [B, T, n, C], shift and scale [B, T, 1, C]."""
    return layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift


class Block(nn.Module):
    """One transformer block (vision stream)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.heads
        self.img_mod: nn.Module
        if config.modulation == "block":
            self.img_mod = Modulation(width, 6)
        else:
            self.img_mod = ModulationOffset(width, 6)
        self.img_attn_q = nn.Linear(width, width)
        self.img_attn_k = nn.Linear(width, width)
        self.img_attn_v = nn.Linear(width, width)
        self.img_attn_q_norm = HeadNorm(config.head_dim)
        self.img_attn_k_norm = HeadNorm(config.head_dim)
        self.img_attn_proj = nn.Linear(width, width)
        self.img_attn_prope_proj = nn.Linear(width, width)
        self.img_mlp = FeedForward(width, int(width * config.mlp_ratio))

    def keys_values(self, y: torch.Tensor, tables: CameraTables, record: list[Projections] | None = None) -> BlockCache:
        """Compute keys and values of both branches from modulated tokens ``y`` [B, T * n, C].

        With ``record`` the projections that both branches share are appended there.
        """
        own = self.img_attn_k(y), self.img_attn_v(y)
        if record is not None:
            record.append(own)
        return self.branches(own, tables)

    def branches(self, own: Projections, tables: CameraTables) -> BlockCache:
        """Make keys and values of both branches from projections and the tables of their tokens."""
        key, value = self.img_attn_k_norm(self._heads(own[0])), self._heads(own[1])
        keys = torch.cat((apply_rotary(key, tables.cos, tables.sin), apply_projective(key, tables.key_matrices)))
        values = torch.cat((value, apply_projective(value, tables.key_matrices)))
        return keys, values

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(
        self,
        z: torch.Tensor,
        vector: torch.Tensor,
        tables: CameraTables,
        context: BlockCache | None,
        tiles: TilePass | None = None,
        number: int = 0,
        record: list[Projections] | None = None,
    ) -> tuple[torch.Tensor, BlockCache]:
        """Run one block over tokens ``z`` [B, T, n, C] with frame vectors ``vector`` [B, T, C] (or 6C when shared).

        With ``tiles``, z and the tables are in tile order and T counts spans; ``number`` is the index of the block.
        ``record`` is that of `keys_values`.
        Returns the new tokens and this block's own keys and values.
        """
        batch, frames, tokens, _ = z.shape
        shift1, scale1, gate1, shift2, scale2, gate2 = modulations(self.img_mod(vector), 6, tiles)
        y = modulate(z, shift1, scale1).to(z.dtype).flatten(1, 2)
        query = self.img_attn_q_norm(self._heads(self.img_attn_q(y)))
        queries = torch.cat(
            (apply_rotary(query, tables.cos, tables.sin), apply_projective(query, tables.query_matrices))
        )
        own = self.keys_values(y, tables, record)
        keys, values = ([own[0]], [own[1]]) if context is None else ([context[0], own[0]], [context[1], own[1]])
        attended = attend(queries, keys, values) if tiles is None else tiles.attend(number, queries, keys, values)
        rotary, projective = attended.chunk(2)
        projective = apply_projective(projective.contiguous(), tables.output_matrices)
        mixed = self.img_attn_proj(rotary.transpose(1, 2).flatten(2)) + self.img_attn_prope_proj(
            projective.transpose(1, 2).flatten(2)
        )
        z = z + gate1 * mixed.view(batch, frames, tokens, -1)
        z = z + gate2 * self.img_mlp(modulate(z, shift2, scale2).to(z.dtype))
        return z, own


class FinalLayer(nn.Module):
    """Modulated projection to latent channels (shift first, then scale)."""

    def __init__(self, hidden_size: int, out_channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, out_channels)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(hidden_size, 2 * hidden_size))

    def forward(self, z: torch.Tensor, vector: torch.Tensor, tiles: TilePass | None = None) -> torch.Tensor:
        shift, scale = modulations(self.adaLN_modulation(vector), 2, tiles)
        out: torch.Tensor = self.linear(modulate(z, shift, scale).to(z.dtype))
        return out


class PointwiseEmbed(nn.Module):
    """Patch embedding with patch size 1: a linear layer per token."""

    def __init__(self, in_channels: int, hidden_size: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.proj(x)
        return out


class VideoTransformer(nn.Module):
    """Chunked autoregressive video transformer (vision stream)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.img_in = PointwiseEmbed(config.in_channels, config.hidden_size)
        self.time_in = ScalarEmbedder(config.hidden_size)
        if config.action_labels:
            self.action_in = ScalarEmbedder(config.hidden_size)
        if config.modulation == "shared":
            self.img_mod = Modulation(config.hidden_size, 6)
        self.double_blocks = nn.ModuleList(self.make_block(config) for _ in range(config.depth))
        self.final_layer = FinalLayer(config.hidden_size, config.out_channels)

    def make_block(self, config: TransformerConfig) -> Block:
        """Make a new block; models with more in their blocks override this."""
        return Block(config)

    def context_pass(
        self,
        x: torch.Tensor,
        time: torch.Tensor,
        tables: CameraTables,
        prefix: Sequence[BlockCache] | None = None,
        action: torch.Tensor | None = None,
        tiles: TilePass | None = None,
        record: list[Projections] | None = None,
    ) -> list[BlockCache]:
        """Run finished latents once and return the keys and values of every block.

        Args:
            x: [B, T, n, in_channels] tokens.
            time: [B, T] timesteps (0..1000) that label the context frames.
            tables: camera tables of the T frames.
            prefix: keys and values of every block that the context also sees (text), or None; not part of the result.
            action: [B, T] action labels, if the model has them.
            tiles: `SparseAttention.context` for a block-sparse pass, whose result is then in tile order.
            record: list to which the projections of every block are appended.
        """
        if tiles is not None:
            x, tables = tiles.tokens(x), tables.tiled(tiles)
        z, vector, _ = self.embed(x, time, action)
        caches = []
        blocks = self.double_blocks
        for index, block in enumerate(blocks[:-1]):
            z, own = block(z, vector, tables, None if prefix is None else prefix[index], tiles, index, record)
            caches.append(own)
        # Nothing after the last block's keys and values is read: its attention and MLP are skipped.
        last: Block = blocks[-1]  # type: ignore[assignment]
        shift, scale = modulations(last.img_mod(vector), 6, tiles)[:2]
        caches.append(last.keys_values(modulate(z, shift, scale).to(z.dtype).flatten(1, 2), tables, record))
        return caches

    def forward(
        self,
        x: torch.Tensor,
        time: torch.Tensor,
        tables: CameraTables,
        context: Sequence[BlockCache] | None = None,
        action: torch.Tensor | None = None,
        tiles: TilePass | None = None,
        reuse: StepReuse | None = None,
        shared: BlockReuse | None = None,
    ) -> torch.Tensor:
        """Run one model call on the current chunk.

        Args:
            x: [B, T, n, in_channels] tokens of the current latents.
            time: [B, T] timesteps, one per latent.
            tables: camera tables of the T frames.
            context: keys and values of every block to attend to besides the chunk itself (what `context_pass` gave for
                the same B entries, behind a text prefix if there is one), or None.
            action: [B, T] action labels, if the model has them.
            tiles: `SparseAttention.denoising` for a block-sparse call over a block-sparse ``context``.
            reuse: whether the blocks run at all, and what they add if not.
            shared: choice between computing a block and reusing its result of the chunk before.

        Returns:
            [B, T, n, out_channels].
        """
        if tiles is not None:
            x, tables = tiles.tokens(x), tables.tiled(tiles)
        z, vector, base = self.embed(x, time, action)
        if shared is not None:
            shared.begin_step()
        before, first = z, self.double_blocks[0]
        if reuse is None or reuse.begin(modulate(z, *modulations(first.img_mod(vector), 6, tiles)[:2])):  # type: ignore[operator]
            for index, block in enumerate(self.double_blocks):
                seen = None if context is None else context[index]
                z = _run(block, z, vector, tables, seen, tiles, index, shared)
            z = z if reuse is None else reuse.finish(before, z)
        else:
            z = reuse.reused(before)
        out: torch.Tensor = self.final_layer(z, base, tiles)
        return out if tiles is None else tiles.back(out)

    def embed(
        self, x: torch.Tensor, time: torch.Tensor, action: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return tokens, the input of the blocks' modulation, and the frame vectors; ``x`` in any token layout."""
        base = self.time_in(time)
        if action is not None:
            base = base + self.action_in(action)
        vector = self.img_mod(base) if self.config.modulation == "shared" else base
        return self.img_in(x), vector, base


def _run(
    block: nn.Module,
    z: torch.Tensor,
    vector: torch.Tensor,
    tables: CameraTables,
    context: BlockCache | None,
    tiles: TilePass | None,
    number: int,
    reuse: BlockReuse | None,
) -> torch.Tensor:
    """Return the output tokens of a block, or what `BlockReuse.run` takes in their place."""

    def compute() -> torch.Tensor:
        out: torch.Tensor = block(z, vector, tables, context, tiles, number)[0]
        return out

    return compute() if reuse is None else reuse.run(number, z, compute)
