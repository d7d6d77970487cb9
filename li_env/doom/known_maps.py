"""Generated maps, their walls and their shortest paths, made once per process and remembered."""

from __future__ import annotations

from functools import lru_cache

from li_env.doom.collision import Walls
from li_env.doom.maps import DoomMap, generate_map
from li_env.doom.tangents import Tangents


@lru_cache(maxsize=512)
def known_map(map_seed: int) -> DoomMap:
    """Return `generate_map` of a seed, remembered."""
    return generate_map(map_seed)


@lru_cache(maxsize=4096)
def known_walls(map_seed: int) -> Walls:
    """Return the walls of a generated map, remembered."""
    return Walls([known_map(map_seed).segments])


@lru_cache(maxsize=512)
def known_tangents(map_seed: int) -> Tangents:
    """Return the net of shortest paths of a generated map, remembered."""
    known = known_map(map_seed)
    return Tangents(known.segments, known.start)
