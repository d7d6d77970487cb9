"""Readable torch version of root-mean-square norm, split into heads and rotary embedding."""

from __future__ import annotations

import torch

from li_env.kernels.rms_rotary.tables import RotaryTables


def naive_rms_rotary(
    x: torch.Tensor,
    heads: int,
    weight: torch.Tensor | None,
    tables: RotaryTables | None,
    eps: float,
    per_head: bool,
    interleaved: bool = False,
) -> torch.Tensor:
    """Compute `rms_rotary` with float32 arithmetic."""
    values = x.float().unflatten(-1, (heads, -1))  # [B, S, H, D]
    squares = values.square().mean(dim=-1 if per_head else (-2, -1), keepdim=True)
    values = values * torch.rsqrt(squares + eps)
    if weight is not None:
        values = values * weight.float().view(heads, -1)
    values = values.transpose(1, 2)
    if tables is not None:
        rotated = tables.cos.shape[-1]
        rows = tables.row_index.long()[:, tables.axes.long()]  # [S, R]
        cos, sin = (_per_token(table, rows) for table in (tables.cos, tables.sin))
        first, second = values[..., : 2 * rotated].unflatten(-1, (-1, 2)).unbind(-1)
        turned = torch.stack((first * cos - second * sin, first * sin + second * cos), dim=-1).flatten(-2)
        values = torch.cat((turned, values[..., 2 * rotated :]), dim=-1)
    values = values.to(x.dtype)
    return values.transpose(1, 2).contiguous().transpose(1, 2) if interleaved else values.contiguous()


def _per_token(table: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Look up [B, P, H, R] at rows [S, R] -> [B, H, S, R]."""
    table = table.transpose(1, 2)
    return table.gather(2, rows.expand(*table.shape[:2], -1, -1))
