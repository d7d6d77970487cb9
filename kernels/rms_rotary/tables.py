"""Angles of a rotary embedding over several axes, kept per position on an axis instead of per token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class RotaryTables:
    """Rotation of every position on every axis, and the table rows of the tokens.

    With bases that differ from head to head a table per token would be larger than the queries themselves; positions on
    axes are few.

    Attributes:
        cos, sin: float32 [B or 1, P, H or 1, R] of R channel pairs; P counts the positions of all axes.
        row_index: int32 [S, A], the table row of every token on every axis.
        axes: int32 [R], the axis of every pair.
    """

    cos: torch.Tensor
    sin: torch.Tensor
    row_index: torch.Tensor
    axes: torch.Tensor

    def of_tokens(self, tokens: slice | torch.Tensor) -> RotaryTables:
        """Return the tables for some of the tokens, or for all of them in another order."""
        return RotaryTables(self.cos, self.sin, self.row_index[tokens].contiguous(), self.axes)


def rotary_tables(
    positions: Sequence[torch.Tensor], pairs: Sequence[int], bases: torch.Tensor, row_index: torch.Tensor
) -> RotaryTables:
    """Make tables with angle ``position * base ** (-i / n)`` for pair i of the n pairs of an axis, in float64.

    Args:
        positions: per axis [n] or [B, n], the position of every table row.
        pairs: per axis the number of channel pairs; 0 leaves an axis out.
        bases: [H or 1] float64, one per head.
        row_index: integers [S, A], the index of every token's position on each axis.
    """
    batch = max(1, *(len(each) for each in positions if each.ndim == 2), 1)
    most = max(pairs)
    angles, first, starts = [], 0, []
    for position, count in zip(positions, pairs, strict=True):
        exponents = -torch.arange(count, dtype=torch.float64, device=bases.device) / max(1, count)
        frequencies = bases.double()[:, None] ** exponents  # [H, n]
        angle = position.double().expand(batch, -1)[..., None, None] * frequencies
        angles.append(torch.nn.functional.pad(angle, (0, most - count)))
        starts.append(first)
        first += position.shape[-1]
    # Every axis has its own pairs: shift them to their columns.
    table = torch.zeros((batch, first, len(bases), sum(pairs)), dtype=torch.float64, device=bases.device)
    column = 0
    for start, count, angle in zip(starts, pairs, angles, strict=True):
        table[:, start : start + angle.shape[1], :, column : column + count] = angle[..., :count]
        column += count
    axes = torch.repeat_interleave(torch.arange(len(pairs)), torch.tensor(list(pairs)))
    offsets = torch.tensor(starts, device=row_index.device)
    return RotaryTables(
        cos=table.cos().float(),
        sin=table.sin().float(),
        row_index=(row_index + offsets).to(torch.int32).to(bases.device).contiguous(),
        axes=axes.to(torch.int32).to(bases.device),
    )
