"""The text side of the model: condition encoders, and the text stream that fills the text cache.

It runs once per prompt and image: text tokens never look at video tokens and always stand at timestep 0, so their keys
and values hold for a whole episode, and none of these weights is needed afterwards.

Source: docs/spec/hy_worldplay.md, sections 3.3 and 3.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import scaled_dot_product_attention, silu

from li_env.worlds.common.transformer import FeedForward, HeadNorm, Modulation, ScalarEmbedder, modulate
from li_env.worlds.hy_worldplay.config import HYWorldPlayConfig


@dataclass(frozen=True, eq=False)
class TextCache:
    """Keys and values of the text tokens for all blocks: ``keys`` and ``values`` [depth, H, L, D]."""

    keys: torch.Tensor
    values: torch.Tensor

    def __len__(self) -> int:
        """Count the text tokens."""
        return self.keys.shape[2]


class ConditionEmbedder(nn.Module):
    """Linear, SiLU, linear: the mean text state as a vector."""

    def __init__(self, width: int, hidden_size: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, hidden_size)
        self.linear_2 = nn.Linear(hidden_size, hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.linear_2(silu(self.linear_1(x)))
        return out


class RefinerFeedForward(nn.Module):
    """Linear, SiLU, linear."""

    def __init__(self, hidden_size: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden_size, inner)
        self.fc2 = nn.Linear(inner, hidden_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.fc2(silu(self.fc1(x)))
        return out


class RefinerBlock(nn.Module):
    """Gated self-attention and feed-forward among text tokens."""

    def __init__(self, config: HYWorldPlayConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.heads
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.self_attn_qkv = nn.Linear(width, 3 * width)
        self.self_attn_proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = RefinerFeedForward(width, int(width * config.mlp_ratio))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, x: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        """Refine tokens [1, n, C] with a vector [1, C]."""
        gate_attention, gate_mlp = self.adaLN_modulation(vector)[:, None].chunk(2, dim=-1)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.self_attn_qkv(self.norm1(x)).chunk(3, dim=-1)
        )
        attended = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + gate_attention * self.self_attn_proj(attended)
        return x + gate_mlp * self.mlp(self.norm2(x))


class TokenRefiner(nn.Module):
    """The refiner's blocks."""

    def __init__(self, config: HYWorldPlayConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(RefinerBlock(config) for _ in range(config.refiner_depth))


class TextRefiner(nn.Module):
    """Language-model states to text tokens."""

    def __init__(self, config: HYWorldPlayConfig) -> None:
        super().__init__()
        self.input_embedder = nn.Linear(config.text_width, config.hidden_size)
        self.t_embedder = ScalarEmbedder(config.hidden_size)
        self.c_embedder = ConditionEmbedder(config.text_width, config.hidden_size)
        self.individual_token_refiner = TokenRefiner(config)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Map valid states [1, n, text_width] to text tokens [1, n, C]."""
        zero = torch.zeros(1, device=states.device)
        vector = self.t_embedder(zero) + self.c_embedder(states.float().mean(dim=1).to(states.dtype))
        x = self.input_embedder(states)
        for block in self.individual_token_refiner.blocks:
            x = block(x, vector)
        return x


class Byt5Mapper(nn.Module):
    """States of quoted text to text tokens."""

    def __init__(self, config: HYWorldPlayConfig) -> None:
        super().__init__()
        width, inner, out = config.byt5_widths
        self.layernorm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, out)
        self.fc3 = nn.Linear(out, config.hidden_size)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Map states [1, n, width] to text tokens [1, n, C]."""
        x = nn.functional.gelu(self.fc1(self.layernorm(states)))
        out: torch.Tensor = self.fc3(nn.functional.gelu(self.fc2(x)))
        return out


class VisionProjection(nn.Module):
    """Image encoder states to text tokens."""

    def __init__(self, config: HYWorldPlayConfig) -> None:
        super().__init__()
        width = config.vision_width
        self.proj = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, config.hidden_size),
            nn.LayerNorm(config.hidden_size),
        )

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Map states [1, n, width] to text tokens [1, n, C]."""
        out: torch.Tensor = self.proj(states)
        return out


class TextBlock(nn.Module):
    """The text stream's half of one transformer block."""

    def __init__(self, config: HYWorldPlayConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.heads
        self.txt_mod = Modulation(width, 6)
        self.txt_attn_q = nn.Linear(width, width)
        self.txt_attn_k = nn.Linear(width, width)
        self.txt_attn_v = nn.Linear(width, width)
        self.txt_attn_q_norm = HeadNorm(config.head_dim)
        self.txt_attn_k_norm = HeadNorm(config.head_dim)
        self.txt_attn_proj = nn.Linear(width, width)
        self.txt_mlp = FeedForward(width, int(width * config.mlp_ratio))

    @classmethod
    def sharing(cls, heads: int, children: dict[str, nn.Module]) -> TextBlock:
        """Make a block whose modules belong to another block."""
        block = cls.__new__(cls)
        nn.Module.__init__(block)
        block.heads = heads
        for name, child in children.items():
            block.add_module(name, child)
        return block

    def forward(
        self, x: torch.Tensor, vector: torch.Tensor, last: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Run tokens [1, n, C] with a vector [1, C]; return (tokens for the next block, keys, values [1, H, n, D]).

        Nothing reads the tokens behind the ``last`` block: they are not computed.
        """
        shift1, scale1, gate1, shift2, scale2, gate2 = self.txt_mod(vector)[:, None].chunk(6, dim=-1)
        y = modulate(x, shift1, scale1).to(x.dtype)
        key = self.txt_attn_k_norm(self._split(self.txt_attn_k(y)))
        value = self._split(self.txt_attn_v(y))
        if last:
            return x, key, value
        query = self.txt_attn_q_norm(self._split(self.txt_attn_q(y)))
        attended = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = x + gate1 * self.txt_attn_proj(attended)
        x = x + gate2 * self.txt_mlp(modulate(x, shift2, scale2).to(x.dtype))
        return x, key, value

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def call_on(module: nn.Module, device: torch.device, *arguments: Any) -> Any:
    """Call ``module`` with its parameters brought to ``device`` for this call only."""
    moved = {name: tensor.to(device, non_blocking=True) for name, tensor in module.named_parameters()}
    return functional_call(module, moved, arguments)


def run_text_blocks(
    blocks: Sequence[TextBlock], x: torch.Tensor, vector: torch.Tensor, device: torch.device
) -> TextCache:
    """Run condition tokens x [1, L, C] through the text stream, weights copied to ``device`` block by block."""
    keys, values = [], []
    for index, block in enumerate(blocks):
        x, key, value = call_on(block, device, x, vector, index == len(blocks) - 1)
        keys.append(key[0])
        values.append(value[0])
    return TextCache(torch.stack(keys), torch.stack(values))
