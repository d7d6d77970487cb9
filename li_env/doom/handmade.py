"""Maps made by people: those of freedoom2.wad (never trained on) and ViZDoom's scenario my_way_home.

Their walls come from the engine. Walkers keep to the largest region of one floor height, so the eye height is constant;
borders to other heights, closed doors and objects count as walls. Unlike random maps these hold animated decorations
and surfaces, so one pose may show slightly different pictures at different times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from li_env.doom.renderer import FRAME_SIZE, DoomRenderer, vizdoom_file
from li_env.doom.space import FreeSpace, largest_regions

RADIUS = 24.0
"""Radius of the walker: the game lifts a player whose square box touches a higher floor; the box reaches 22.6 units."""

SMALLEST_AREA = 100_000.0
"""Square map units (where the centre of a walker may be) from which on a region is worth exploring."""

_PLAYER_HEIGHT, _EYE_HEIGHT = 56.0, 41.0
_OBJECT_HALF_SIDE = 26.0  # further away than the reach at which the player picks things up


@dataclass(frozen=True)
class HandmadeMap:
    """Walls and free space of a map, as in `maps.DoomMap`."""

    name: str
    segments: np.ndarray
    start: tuple[float, float]

    @cached_property
    def space(self) -> FreeSpace:
        """The region reachable from ``start`` on its floor height."""
        return FreeSpace(self.segments, self.start, RADIUS)

    def sample_free_position(self, rng: np.random.Generator) -> tuple[int, int]:
        """Draw a reachable position (x, y) uniformly, in whole map units."""
        return self.space.sample(rng)


def freedoom_map_names() -> tuple[str, ...]:
    """Name the hand-made maps of freedoom2.wad with a wide region of one floor height.

    Only those where thousands of random poses met no lift, no hidden step and no other surprise.
    """
    return tuple(f"MAP{number:02d}" for number in (3, 6, 9, 14, 18, 22, 23, 28))


def freedoom_renderer(
    names: Sequence[str], depth: bool = False, frame_size: tuple[int, int] = FRAME_SIZE
) -> DoomRenderer:
    """Start a renderer whose map i is ``names[i]`` of freedoom2.wad.

    Raises:
        ValueError: an unknown name.
    """
    for name in names:
        if name not in freedoom_map_names():
            raise ValueError(f"map {name!r} is not allowed; allowed: {', '.join(freedoom_map_names())}")
    return DoomRenderer(None, tuple(names), depth=depth, geometry=True, frame_size=frame_size)


def my_way_home_renderer(depth: bool = False, frame_size: tuple[int, int] = FRAME_SIZE) -> DoomRenderer:
    """Start a renderer whose map 0 is the scenario my_way_home."""
    path = vizdoom_file("scenarios/my_way_home.wad")
    return DoomRenderer(path, ("MAP01",), depth=depth, geometry=True, frame_size=frame_size)


def read_map(renderer: DoomRenderer, map_index: int, name: str) -> HandmadeMap:
    """Read the walls and the largest explorable region of a map from a renderer with ``geometry=True``.

    Raises:
        ValueError: no region reaches `SMALLEST_AREA`.
    """
    sectors, objects = renderer.geometry(map_index)
    x, y, _, _ = renderer.enter(map_index)
    squares: list[_Ends] = []
    for thing in objects:
        if abs(thing.position_x - x) + abs(thing.position_y - y) > 1.0:  # not the player itself
            squares += _square(thing.position_x, thing.position_y)
    candidates = []
    for floor in {float(sector.floor_height) for sector in sectors}:
        walls = _walls_of_floor(sectors, floor)
        if len(walls) >= 3:
            segments = np.array(walls + squares, dtype=np.float64)
            found = largest_regions(segments, RADIUS, 4)
            candidates += [(area, floor, inside, segments) for area, inside in found if area >= SMALLEST_AREA]
    for _, floor, inside, segments in sorted(candidates, key=lambda candidate: -candidate[0]):
        found_map = HandmadeMap(name, segments, (float(inside[0]), float(inside[1])))
        # the space between rooms looks like a region too; only the game knows what lies inside
        rng = np.random.default_rng(0)
        probes = [inside] + [found_map.sample_free_position(rng) for _ in range(150)]
        if all(renderer.stand(map_index, *probe) == floor + _EYE_HEIGHT for probe in probes):
            return found_map
    raise ValueError(f"map {name!r} has no region of one floor height with {SMALLEST_AREA} square map units")


_Ends = tuple[float, ...]


def _walls_of_floor(sectors: Any, floor: float) -> list[_Ends]:
    """List the lines that stop a walker who keeps to the floor height ``floor``."""
    blocking: list[_Ends] = []
    passable: list[_Ends] = []
    closed: set[_Ends] = set()
    for sector in sectors:
        walkable = sector.floor_height == floor and sector.ceiling_height - floor >= _PLAYER_HEIGHT
        for line in sector.lines:
            ends = (line.x1, line.y1, line.x2, line.y2)
            if not walkable:
                closed.add(ends)
            elif line.is_blocking:
                blocking.append(ends)
            else:
                passable.append(ends)
    return blocking + [ends for ends in passable if ends in closed]


def _square(x: float, y: float) -> list[_Ends]:
    ring = [(x + _OBJECT_HALF_SIDE * a, y + _OBJECT_HALF_SIDE * b) for a, b in ((1, 1), (-1, 1), (-1, -1), (1, -1))]
    return [(*ring[k], *ring[(k + 1) % 4]) for k in range(4)]
