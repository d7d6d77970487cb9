"""Readable torch version of attention along time at every position."""

from __future__ import annotations

import torch
from torch.nn.functional import scaled_dot_product_attention

from li_env.kernels.rms_rotary.naive import naive_rms_rotary
from li_env.kernels.rms_rotary.tables import RotaryTables


def naive_time_attention(
    qkv: torch.Tensor, heads: int, lines: torch.Tensor, slots: RotaryTables, eps: float
) -> torch.Tensor:
    """Compute `time_attention` in readable torch."""
    latents = lines.shape[1]
    order = lines.flatten()
    query, key, value = qkv.index_select(1, order).chunk(3, dim=-1)
    repeated = slots.of_tokens(torch.arange(latents, device=qkv.device).repeat(len(lines)))
    query, key = (naive_rms_rotary(each, heads, None, repeated, eps, True) for each in (query, key))
    value = value.unflatten(-1, (heads, -1)).transpose(1, 2)
    # One short attention per head and position: all of them as if they were heads.
    each = [part.unflatten(2, (-1, latents)).flatten(1, 2) for part in (query, key, value)]
    mixed = scaled_dot_product_attention(*each).reshape(query.shape)
    out = torch.empty_like(qkv[..., : qkv.shape[-1] // 3])
    out[:, order] = mixed.transpose(1, 2).flatten(2)
    return out
