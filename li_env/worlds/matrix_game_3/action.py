"""The action module of a transformer block: keyboard and mouse enter by attention along time.

Source: docs/spec/matrix_game_3.md, section 3.7.

Every latent sees a window of action rows. The mouse window joins the picture tokens, which then attend to each other
along time, separately at every position of the picture; the keyboard window gives one key and value per latent, shared
by all positions. Memory latents have neither: they get rows of a value that no real action has.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import gelu, linear

from li_env.kernels.attention import attend
from li_env.kernels.rms_rotary import RotaryTables, rms_rotary
from li_env.kernels.time_attention import time_attention
from li_env.worlds.matrix_game_3.config import ActionConfig
from li_env.worlds.matrix_game_3.layout import TokenLayout
from li_env.worlds.matrix_game_3.time_axis import LATENT_FRAMES

MEMORY_MOUSE, MEMORY_KEY = 1.0, -1.0
"""Values in the rows of memory latents."""


@dataclass(frozen=True, eq=False)
class ActionCache:
    """Inputs of one action module that are the same in all denoising steps of a clip.

    Attributes:
        mouse: [B, T, hidden], the mouse windows after the first layer's share of them, bias included.
        key, value: [B, heads, T, head_dim] of the keyboard.
    """

    mouse: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor


class UnusedNorm(nn.Module):
    """A norm whose weight is in the checkpoint and never read."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))


class ActionModule(nn.Module):
    """Keyboard and mouse of one block.

    Args:
        config: sizes.
        dim: channels of the transformer.
    """

    def __init__(self, config: ActionConfig, dim: int) -> None:
        super().__init__()
        self.config, self._dim = config, dim
        mouse, keys = config.mouse_hidden_dim, config.keyboard_hidden_dim
        self.keyboard_embed = nn.Sequential(
            nn.Linear(config.keyboard_dim_in, config.hidden_size),
            nn.SiLU(),
            nn.Linear(config.hidden_size, config.hidden_size),
        )
        self.mouse_mlp = nn.Sequential(
            nn.Linear(dim + config.mouse_dim_in * config.window_rows, mouse),
            nn.GELU(approximate="tanh"),
            nn.Linear(mouse, mouse),
            nn.LayerNorm(mouse),
        )
        self.t_qkv = nn.Linear(mouse, 3 * mouse, bias=False)
        self.proj_mouse = nn.Linear(mouse, dim, bias=False)
        self.mouse_attn_q = nn.Linear(dim, keys, bias=False)
        self.keyboard_attn_kv = nn.Linear(config.hidden_size * config.window_rows, 2 * keys, bias=False)
        self.proj_keyboard = nn.Linear(keys, dim, bias=False)
        self.img_attn_q_norm = UnusedNorm(mouse // config.heads_num)
        self.img_attn_k_norm = UnusedNorm(mouse // config.heads_num)
        self.key_attn_q_norm = UnusedNorm(keys // config.heads_num)
        self.key_attn_k_norm = UnusedNorm(keys // config.heads_num)

    def prepare(self, mouse: torch.Tensor, keyboard: torch.Tensor, memory: int, slots: RotaryTables) -> ActionCache:
        """Compute everything that depends on the actions alone.

        Args:
            mouse, keyboard: [B, N, 2] and [B, N, 6], the rows of the clip's frames; N is 4 F - 3 or 4 F for F latents.
            memory: memory latents in front of the F of the clip.
            slots: rotation of the T = memory + F slots.
        """
        first: nn.Linear = self.mouse_mlp[0]  # type: ignore[assignment]
        weight = first.weight
        mouse, keyboard = mouse.to(weight.dtype), keyboard.to(weight.dtype)
        windows = self._windows(mouse)
        absent = windows.new_full((len(windows), memory, windows.shape[2]), MEMORY_MOUSE)
        seen = torch.cat((absent, windows), dim=1)
        absent = self.keyboard_embed(torch.full_like(keyboard[:, :1], MEMORY_KEY))
        absent = absent.repeat(1, memory, self.config.window_rows)
        embedded = torch.cat((absent, self._windows(self.keyboard_embed(keyboard))), dim=1)
        heads = self.config.heads_num
        key, value = self.keyboard_attn_kv(embedded).chunk(2, dim=-1)
        return ActionCache(
            mouse=linear(seen, weight[:, self._dim :], first.bias),
            key=rms_rotary(key, heads, tables=slots, per_head=True),
            value=value.unflatten(-1, (heads, -1)).transpose(1, 2).contiguous(),
        )

    def mouse(self, z: torch.Tensor, cache: ActionCache, layout: TokenLayout, slots: RotaryTables) -> torch.Tensor:
        """Compute what the mouse adds to tokens ``z`` [B, S, C]; ``slots`` is the rotation of the T slots."""
        first: nn.Linear = self.mouse_mlp[0]  # type: ignore[assignment]
        second, norm = self.mouse_mlp[2], self.mouse_mlp[3]
        hidden = linear(z, first.weight[:, : self._dim]) + cache.mouse.index_select(1, layout.frames)
        hidden = norm(second(gelu(hidden, approximate="tanh")))
        mixed = time_attention(self.t_qkv(hidden), self.config.heads_num, layout.lines, slots)
        return self.proj_mouse(mixed)

    def keyboard(self, z: torch.Tensor, cache: ActionCache, slots: RotaryTables) -> torch.Tensor:
        """Compute what the keyboard adds to tokens ``z`` [B, S, C]; ``slots`` is the rotation of every token's slot."""
        heads = self.config.heads_num
        query = rms_rotary(self.mouse_attn_q(z), heads, tables=slots, per_head=True, interleaved=True)
        mixed = attend(query, [cache.key], [cache.value])
        return self.proj_keyboard(mixed.transpose(1, 2).flatten(2))

    def _windows(self, rows: torch.Tensor) -> torch.Tensor:
        """Cut rows [B, N, d] into the window of each latent [B, F, window * d].

        The first clip has 4 F - 3 rows and its windows end one row before the latent's last frame, later clips have
        4 F and theirs end with it; before the clip its first row is repeated. So it was trained.
        """
        window = self.config.window_rows
        short = rows.shape[1] % LATENT_FRAMES
        front = rows[:, :1].expand(-1, window if short else window - LATENT_FRAMES, -1)
        padded = torch.cat((front, rows), dim=1)
        return padded.unfold(1, window, LATENT_FRAMES).transpose(-1, -2).flatten(2)
