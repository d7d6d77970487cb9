"""Fused inference path of `VideoTransformer`: the same function in fewer, larger kernels.

- Tokens lie in one row per batch entry. Values per frame (modulation, camera matrices) are looked up by the token's
  frame, never repeated.
- Keys and values of a block lie behind each other in one buffer, [text | context | own], written in place. The buffer
  is shared by all blocks.
- A context keeps the projections of its tokens, not the four tensors that its two branches make of them: half of the
  memory. Every call makes a block's branches again, with two reads and four writes of its context, unless
  `Context.keep` is set.
- Residual update and the next modulated norm are one pass; so are head norm, rotation and camera matrices.

For inference only: buffers are overwritten and nothing can be differentiated.

Source: docs/spec/hy_worldplay.md, sections 3.5, 3.8 and 10.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn

from li_env.kernels.attention import attend_joined
from li_env.kernels.gated_norm import gated_norm
from li_env.kernels.rope_prope import join_branches, split_branches
from li_env.worlds.common.step_reuse import StepReuse
from li_env.worlds.common.tile_attention import TilePass
from li_env.worlds.common.transformer import Block, CameraTables, FeedForward, VideoTransformer


class Prefix(Protocol):
    """Tokens in front of the context that all blocks see: ``keys`` and ``values`` [depth, H, L, D]."""

    @property
    def keys(self) -> torch.Tensor: ...

    @property
    def values(self) -> torch.Tensor: ...


@dataclass(frozen=True, eq=False)
class Tables:
    """`CameraTables` of one pass in the order of its tokens.

    Attributes:
        rotation: (cos, sin), each [S, D / 2] float32 if the whole batch rotates alike, else [B, S, D / 2].
        query, key, output: [B, T, 4, 4] float32, contiguous.
        frames: int32 [S], the frame of every token.
    """

    rotation: tuple[torch.Tensor, torch.Tensor]
    query: torch.Tensor
    key: torch.Tensor
    output: torch.Tensor
    frames: torch.Tensor

    @classmethod
    def of(cls, tables: CameraTables, tiles: TilePass | None) -> Tables:
        """Make tables in the order of the tokens from the tables of frames in usual order.

        A rotation with one entry, or one expanded, is for the whole batch.
        """
        alike = tables.cos.shape[0] == 1 or tables.cos.stride(0) == tables.sin.stride(0) == 0
        cos, sin = ((table[0, 0] if alike else table[:, 0]).float() for table in (tables.cos, tables.sin))
        frames = tables.query_matrices.shape[1]
        if tiles is None:
            numbers = torch.arange(frames, dtype=torch.int32, device=cos.device)
            order = numbers.repeat_interleave(cos.shape[-2] // frames)
        else:
            cos, sin = (tiles.rows(table, table.ndim - 2) for table in (cos, sin))
            order = tiles.token_frames
        return cls(
            rotation=(cos.contiguous(), sin.contiguous()),
            query=tables.query_matrices.float().contiguous(),
            key=tables.key_matrices.float().contiguous(),
            output=tables.output_matrices.float().contiguous(),
            frames=order,
        )


@dataclass(frozen=True, eq=False)
class Context:
    """Result of a context pass.

    Attributes:
        keys, values: projections of all blocks [depth, B, S, C].
        tables: of its tokens.
        keep: whether the buffers of the first `denoise` stay, so that later calls of the same shape, model and prefix
            write only their own tokens there: ``depth`` times the memory of one block's keys and values.
        kept: those buffers by block.
    """

    keys: torch.Tensor
    values: torch.Tensor
    tables: Tables
    keep: bool = False
    kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        """Count the tokens."""
        return self.keys.shape[2]


@torch.no_grad()
def context_pass(
    model: VideoTransformer,
    x: torch.Tensor,
    time: torch.Tensor,
    tables: CameraTables,
    prefix: Prefix | None = None,
    action: torch.Tensor | None = None,
    tiles: TilePass | None = None,
    keep: bool = False,
) -> Context:
    """Run `VideoTransformer.context_pass`; the text prefix comes without branches, ``keep`` is `Context.keep`."""
    own = Tables.of(tables, tiles)
    weight = model.final_layer.linear.weight
    shape = (len(model.double_blocks), x.shape[0], len(own.frames), model.config.hidden_size)
    context = Context(weight.new_empty(shape), weight.new_empty(shape), own, keep)
    _run(model, x, time, own, prefix, None, action, tiles, record=context)
    return context


@torch.no_grad()
def denoise(
    model: VideoTransformer,
    x: torch.Tensor,
    time: torch.Tensor,
    tables: CameraTables,
    context: Context | None = None,
    prefix: Prefix | None = None,
    action: torch.Tensor | None = None,
    tiles: TilePass | None = None,
    reuse: StepReuse | None = None,
) -> torch.Tensor:
    """Run `VideoTransformer.forward` with a text prefix without branches: [B, T, n, out_channels]."""
    y = _run(model, x, time, Tables.of(tables, tiles), prefix, context, action, tiles, None, reuse)
    out: torch.Tensor = model.final_layer.linear(y)
    return out.unflatten(1, x.shape[1:3]) if tiles is None else tiles.back(out[:, None])


class _Buffer:
    """Keys and values of one block at a time, [2 * B, H, text + context + own, D], from the first `fill` on."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(
        self, model: VideoTransformer, batch: int, tables: Tables, prefix: Prefix | None, context: Context | None
    ) -> None:
        self._tables, self._prefix, self._context = tables, prefix, context
        self._text = 0 if prefix is None else prefix.keys.shape[2]
        self._own = self._text + (0 if context is None else len(context))
        config = model.config
        self._shape = (2 * batch, config.heads, self._own + len(tables.frames), config.head_dim)
        self._like = model.final_layer.linear.weight
        self._shared: tuple[torch.Tensor, torch.Tensor] | None = None

    def fill(self, index: int, block: Block, key: torch.Tensor, value: torch.Tensor) -> None:
        """Write all keys and values that block ``index`` sees; ``key`` and ``value`` [B, S, C] are its own."""
        seen_before = self._choose(index)
        if self._prefix is not None and not seen_before:
            self.keys[:, :, : self._text] = self._prefix.keys[index]
            self.values[:, :, : self._text] = self._prefix.values[index]
        if self._context is not None and not seen_before:
            part = slice(self._text, self._own)
            self._write(block, self._context.keys[index], self._context.values[index], self._context.tables, part)
        self._write(block, key, value, self._tables, slice(self._own, None))

    def _choose(self, index: int) -> bool:
        """Take the buffers for block ``index`` and return whether its context lies there already."""
        if self._context is not None and self._context.keep:
            kept = self._context.kept.get(index)
            found = kept is not None and kept[0].shape == self._shape
            self.keys, self.values = kept if kept is not None and found else self._empty()
            self._context.kept[index] = self.keys, self.values
            return found
        self._shared = self._empty() if self._shared is None else self._shared
        self.keys, self.values = self._shared
        return False

    def _empty(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self._like.new_empty(self._shape), self._like.new_empty(self._shape)

    def _write(self, block: Block, key: torch.Tensor, value: torch.Tensor, tables: Tables, part: slice) -> None:
        weight = block.img_attn_k_norm.weight
        split_branches(key, self.keys[:, :, part], tables.key, tables.frames, tables.rotation, weight)
        split_branches(value, self.values[:, :, part], tables.key, tables.frames)


def _run(
    model: VideoTransformer,
    x: torch.Tensor,
    time: torch.Tensor,
    tables: Tables,
    prefix: Prefix | None,
    context: Context | None,
    action: torch.Tensor | None,
    tiles: TilePass | None,
    record: Context | None,
    reuse: StepReuse | None = None,
) -> torch.Tensor:
    """Run all blocks and return the modulated norm [B, S, C] that the final layer takes.

    With ``record`` the projections of all blocks are written there, and nothing after the last of them is computed.
    """
    z, vector, base = model.embed((x if tiles is None else tiles.tokens(x)).flatten(1, 2), time, action)
    blocks: list[Block] = list(model.double_blocks)  # type: ignore[arg-type]
    buffer = _Buffer(model, len(x), tables, prefix, context)
    shift1, scale1, gate1, shift2, scale2, gate2 = blocks[0].img_mod(vector).chunk(6, dim=-1)
    y = gated_norm(z, (), None, shift1, scale1, tables.frames)
    before = z
    if reuse is not None:
        if not reuse.begin(y):
            return _modulated(model, reuse.reused(z), base, tables)
        before = z.clone()  # the norms below write into z
    for index, block in enumerate(blocks):
        key = _project(block.img_attn_k, y, None if record is None else record.keys[index])
        value = _project(block.img_attn_v, y, None if record is None else record.values[index])
        if record is not None and index == len(blocks) - 1:
            break
        buffer.fill(index, block, key, value)
        branches = _attention(index, block, y, tables, buffer, tiles, context)
        y = gated_norm(z, branches, gate1, shift2, scale2, tables.frames)
        del key, value, branches
        gate = gate2
        if index + 1 < len(blocks):
            shift1, scale1, gate1, shift2, scale2, gate2 = blocks[index + 1].img_mod(vector).chunk(6, dim=-1)
        else:
            shift1, scale1 = model.final_layer.adaLN_modulation(base).chunk(2, dim=-1)
        y = gated_norm(z, (feed_forward(block.img_mlp, y),), gate, shift1, scale1, tables.frames)
    return y if reuse is None else _modulated(model, reuse.finish(before, z), base, tables)


def _modulated(model: VideoTransformer, z: torch.Tensor, base: torch.Tensor, tables: Tables) -> torch.Tensor:
    """Return the modulated norm of finished tokens [B, S, C] that the final layer takes."""
    shift, scale = model.final_layer.adaLN_modulation(base).chunk(2, dim=-1)
    return gated_norm(z, (), None, shift, scale, tables.frames)


def _attention(
    index: int,
    block: Block,
    y: torch.Tensor,
    tables: Tables,
    buffer: _Buffer,
    tiles: TilePass | None,
    context: Context | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what attention adds to the tokens, one tensor per branch."""
    batch, tokens, _ = y.shape
    queries = y.new_empty((2 * batch, *buffer.keys.shape[1:2], tokens, buffer.keys.shape[3]))
    weight = block.img_attn_q_norm.weight
    split_branches(block.img_attn_q(y), queries, tables.query, tables.frames, tables.rotation, weight)
    if tiles is None:
        attended = attend_joined(queries, buffer.keys, buffer.values)
    else:
        attended = tiles.attend_joined(index, queries, buffer.keys, buffer.values, context)
    del queries
    rotary, projective = join_branches(attended, tables.output, tables.frames)
    return block.img_attn_proj(rotary), block.img_attn_prope_proj(projective)


def _project(layer: nn.Linear, y: torch.Tensor, out: torch.Tensor | None) -> torch.Tensor:
    """Compute ``layer(y)``, written into ``out`` if there is one."""
    if out is None:
        result: torch.Tensor = layer(y)
        return result
    torch.addmm(layer.bias, y.flatten(0, 1), layer.weight.t(), out=out.flatten(0, 1))
    return out


def feed_forward(layers: FeedForward, y: torch.Tensor) -> torch.Tensor:
    """Compute ``layers(y)``; on a GPU the activation is part of the first product."""
    if y.device.type != "cuda":
        result: torch.Tensor = layers(y)
        return result
    first, second = layers.fc1, layers.fc2
    inner = torch._addmm_activation(first.bias, y.flatten(0, 1), first.weight.t(), use_gelu=True)
    result = second(inner)
    return result.view(y.shape)
