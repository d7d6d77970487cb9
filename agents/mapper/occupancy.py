"""Occupancy grid: the log odds of walls around an episode's start, and shortest paths through it.

Grids are square, aligned with the world's axes and centred where the episode began. 0 is an unknown cell, a positive
number a wall, a negative number free ground. All functions work on batches with one grid per episode: float32
[n, `CELLS` (x), `CELLS` (z)]. Poses [n, 3] are x, z in length units from the middle of the grid, and yaw in radians.
"""

from __future__ import annotations

import math

import torch

from li_env.agents.mapper.free_space_net import RAYS, REACH

CELLS = 64
"""Cells along a side."""

CELL = 0.75
"""Side of a cell in length units."""

_FREE, _WALL, _MOST = -0.7, 1.5, 4.0  # log odds that one view adds; largest log odds in either direction
_EDGE, _THICK = 0.3, 1.6  # a wall begins this far before the end of a clearance, and ends this far behind it
_BODY = 0.5  # the ground within this distance of the agent is free
_BUMP = 2.0  # log odds that a bump adds to the cell ahead
_STEEPNESS, _DOUBT, _PENALTY = 4.0, 1.0, 20.0  # cost of a cell: sigmoid over its log odds
_FAR = 1e4  # cost outside the grid, and distance before the search
_CHECK_EVERY = 16  # sweeps between two tests whether the distances still change


def add_view(grids: torch.Tensor, poses: torch.Tensor, clearances: torch.Tensor, fov: float) -> torch.Tensor:
    """Return the grids after a view.

    Args:
        grids: [n, `CELLS`, `CELLS`].
        poses: [n, 3].
        clearances: [n, `RAYS`] in length units.
        fov: width of the view in radians.
    """
    centres = _centres(grids.device)
    x, z, yaw = (part[:, None, None] for part in poses.unbind(-1))
    right, ahead = _turned(centres[None, :, None] - x, centres[None, None, :] - z, yaw)
    distance = torch.hypot(right, ahead)
    column = (right / ahead.clamp(min=1e-3) / math.tan(fov / 2) + 1) / 2 * RAYS
    seen = (ahead > 0) & (column > 0) & (column < RAYS) & (distance < REACH)
    index = column.clamp(0, RAYS - 1e-3).long()
    clearance = clearances.gather(1, index.flatten(1)).view_as(distance)
    trust = seen / (1 + distance / 4)
    wall = (distance > clearance - _EDGE) & (distance < clearance + _THICK) & (clearance < 0.95 * REACH)
    free = distance <= clearance - _EDGE
    after = grids + trust * (_WALL * wall + _FREE * free) + _FREE * (distance < _BODY)
    return after.clamp(-_MOST, _MOST)


def add_bump(grids: torch.Tensor, poses: torch.Tensor, bumped: torch.Tensor) -> torch.Tensor:
    """Return the grids after steps that ran into a wall straight ahead where ``bumped`` (bool [n]) says so."""
    x, z, yaw = poses.unbind(-1)
    ahead = _cells(torch.stack([x + 1.2 * CELL * yaw.sin(), z + 1.2 * CELL * yaw.cos()], -1))
    after = grids.clone()
    rows = torch.arange(len(grids), device=grids.device)
    after[rows, ahead[:, 0], ahead[:, 1]] += _BUMP * bumped
    return after.clamp(-_MOST, _MOST)


def costs(grids: torch.Tensor) -> torch.Tensor:
    """Return the cost of a length unit in every cell: 1 on free ground, slightly more if unknown, 21 in a wall."""
    return 1 + _PENALTY * torch.sigmoid(_STEEPNESS * (grids - _DOUBT))


def distances(costs: torch.Tensor, goals: torch.Tensor) -> torch.Tensor:
    """Return the cost [n, `CELLS`, `CELLS`] of the cheapest path from every cell to a goal.

    Args:
        costs: cost of a length unit in every cell [n, `CELLS`, `CELLS`].
        goals: (x, z) [n, 2]; a goal outside the grid is moved to its rim.
    """
    padded = torch.nn.functional.pad(costs, (1, 1, 1, 1), value=_FAR)
    field = torch.full_like(padded, _FAR)
    cells = _cells(goals) + 1
    rows = torch.arange(len(costs), device=costs.device)
    field[rows, cells[:, 0], cells[:, 1]] = 0.0
    inner = slice(1, CELLS + 1)
    offsets = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]
    steps = [(a, b, CELL * math.hypot(a, b) * (costs + _shifted(padded, a, b)) / 2) for a, b in offsets]
    for sweep in range(1, 4 * CELLS + 1):
        before = field[:, inner, inner].clone() if sweep % _CHECK_EVERY == 0 else None
        for a, b, cost in steps:
            torch.minimum(field[:, inner, inner], _shifted(field, a, b) + cost, out=field[:, inner, inner])
        if before is not None and torch.equal(before, field[:, inner, inner]):
            break
    return field[:, inner, inner]


def sample(grids: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Return the values [n, k] of grids [n, `CELLS`, `CELLS`] at points (x, z) [n, k, 2], bilinear between cells."""
    scaled = points / (CELL * CELLS / 2)
    # grid_sample calls the last dimension of the grid x.
    found = torch.nn.functional.grid_sample(
        grids[:, None], scaled.flip(-1)[:, None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return found[:, 0, 0]


def _centres(device: torch.device) -> torch.Tensor:
    return (torch.arange(CELLS, device=device) - (CELLS - 1) / 2) * CELL


def _shifted(padded: torch.Tensor, a: int, b: int) -> torch.Tensor:
    return padded[:, 1 + a : CELLS + 1 + a, 1 + b : CELLS + 1 + b]


def _cells(points: torch.Tensor) -> torch.Tensor:
    """Return the indices [n, 2] of the cells at points [n, 2]."""
    return (points / CELL + CELLS / 2).floor().long().clamp(0, CELLS - 1)


def _turned(x: torch.Tensor, z: torch.Tensor, yaw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (right, ahead) of displacements, seen from an agent that looks along ``yaw``."""
    return x * yaw.cos() - z * yaw.sin(), x * yaw.sin() + z * yaw.cos()
