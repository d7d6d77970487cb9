"""What an agent believes about the floor plan: a grid of walls and free ground, and shortest ways through it.

Grids are square, aligned with the world's axes and centred where the episode began. A cell holds the log odds of a
wall: 0 where nothing is known. All functions work on batches, one grid per episode.
"""

from __future__ import annotations

import math

import torch

from li_env.agents.mapper.free_space_net import RAYS, REACH

CELLS = 64
"""Along a side."""

CELL = 0.75
"""Side of a cell in length units."""

_FREE, _WALL, _SURE = -0.7, 1.5, 4.0  # what one look adds, and the most that is believed either way
_EDGE, _THICK = 0.3, 1.6  # from where to where, seen from the end of a free way, there is wall
_BODY = 0.5  # where the agent stands is free this far around
_BUMP = 2.0  # what running into something adds to the cell ahead
_STEEPNESS, _DOUBT, _PENALTY = 4.0, 1.0, 20.0  # of the price of cells that may be walls
_FAR = 1e4


def _centres(device: torch.device) -> torch.Tensor:
    return (torch.arange(CELLS, device=device) - (CELLS - 1) / 2) * CELL


def look(belief: torch.Tensor, places: torch.Tensor, ways: torch.Tensor, fov: float) -> torch.Tensor:
    """Beliefs after a look.

    Args:
        belief: [n, `CELLS` (x), `CELLS` (z)].
        places: [n, 3]: x, z in length units from the middle of the grid, yaw in radians.
        ways: [n, `RAYS`] free ways in length units.
        fov: width of the view in radians.
    """
    centres = _centres(belief.device)
    x, z, yaw = (part[:, None, None] for part in places.unbind(-1))
    right, ahead = _turned(centres[None, :, None] - x, centres[None, None, :] - z, yaw)
    distance = torch.hypot(right, ahead)
    column = (right / ahead.clamp(min=1e-3) / math.tan(fov / 2) + 1) / 2 * RAYS
    seen = (ahead > 0) & (column > 0) & (column < RAYS) & (distance < REACH)
    index = column.clamp(0, RAYS - 1e-3).long()
    way = ways.gather(1, index.flatten(1)).view_as(distance)
    trust = seen / (1 + distance / 4)
    wall = (distance > way - _EDGE) & (distance < way + _THICK) & (way < 0.95 * REACH)
    free = distance <= way - _EDGE
    after = belief + trust * (_WALL * wall + _FREE * free) + _FREE * (distance < _BODY)
    return after.clamp(-_SURE, _SURE)


def bump(belief: torch.Tensor, places: torch.Tensor, bumped: torch.Tensor) -> torch.Tensor:
    """Beliefs after walking into something straight ahead: ``bumped`` bool [n]."""
    x, z, yaw = places.unbind(-1)
    ahead = _cells(torch.stack([x + 1.2 * CELL * yaw.sin(), z + 1.2 * CELL * yaw.cos()], -1))
    after = belief.clone()
    rows = torch.arange(len(belief), device=belief.device)
    after[rows, ahead[:, 0], ahead[:, 1]] += _BUMP * bumped
    return after.clamp(-_SURE, _SURE)


def price(belief: torch.Tensor) -> torch.Tensor:
    """Of a length unit in every cell: 1 on free ground, a little more on unknown one, a lot in what may be a wall."""
    return 1 + _PENALTY * torch.sigmoid(_STEEPNESS * (belief - _DOUBT))


def distances(prices: torch.Tensor, goals: torch.Tensor) -> torch.Tensor:
    """Cheapest way [n, `CELLS`, `CELLS`] from every cell to ``goals`` [n, 2]; goals off the grid lie at its rim."""
    count = len(prices)
    padded = torch.nn.functional.pad(prices, (1, 1, 1, 1), value=_FAR)
    field = torch.full_like(padded, _FAR)
    cells = _cells(goals) + 1
    rows = torch.arange(count, device=prices.device)
    field[rows, cells[:, 0], cells[:, 1]] = 0.0
    inner = slice(1, CELLS + 1)
    offsets = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]
    steps = [(a, b, CELL * math.hypot(a, b) * (prices + _shifted(padded, a, b)) / 2) for a, b in offsets]
    for turn in range(4 * CELLS):
        before = field[:, inner, inner].clone() if turn % 16 == 15 else None
        for a, b, cost in steps:
            torch.minimum(field[:, inner, inner], _shifted(field, a, b) + cost, out=field[:, inner, inner])
        if before is not None and torch.equal(before, field[:, inner, inner]):
            break
    return field[:, inner, inner]


def sample(grid: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Values [n, k] of grids [n, `CELLS`, `CELLS`] at points [n, k, 2] (x, z), between the cells linearly."""
    scaled = points / (CELL * CELLS / 2)
    # grid_sample calls the last dimension of the grid x
    found = torch.nn.functional.grid_sample(
        grid[:, None], scaled.flip(-1)[:, None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return found[:, 0, 0]


def _shifted(padded: torch.Tensor, a: int, b: int) -> torch.Tensor:
    return padded[:, 1 + a : CELLS + 1 + a, 1 + b : CELLS + 1 + b]


def _cells(points: torch.Tensor) -> torch.Tensor:
    """Indices [n, 2] of the cells at points [n, 2]."""
    return (points / CELL + CELLS / 2).floor().long().clamp(0, CELLS - 1)


def _turned(x: torch.Tensor, z: torch.Tensor, yaw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(right, ahead) of displacements seen from an agent that looks along ``yaw``."""
    return x * yaw.cos() - z * yaw.sin(), x * yaw.sin() + z * yaw.cos()
