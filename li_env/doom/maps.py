"""Random Doom maps as UDMF text: geometry, textures, light and decorations drawn from one seed.

Floors lie at height 0 everywhere, nothing moves and nothing is animated: one camera pose always shows one picture.
Lengths are Doom map units. Format facts: ZDoom's UDMF ("namespace zdoom"), the engine builds the nodes itself.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from li_env.doom import textures
from li_env.doom.collision import segment_distances
from li_env.doom.layouts import FAMILIES, SOLID, Layout
from li_env.doom.space import FreeSpace
from li_env.files import atomic_write

_FAMILY_WEIGHTS = {"maze": 0.35, "rooms": 0.3, "hall": 0.2, "cave": 0.15}

# solid things whose sprite has one frame: editor number -> half the side of the square that blocks the player
_DECORATIONS = {30: 20, 31: 20, 32: 20, 33: 20, 34: 20, 35: 20, 37: 20, 43: 20, 47: 20, 48: 20, 54: 36, 2028: 20}


@dataclass(frozen=True)
class DoomMap:
    """Map and what is needed to walk in it.

    Attributes:
        seed: seed of the map.
        family: floor plan family, see `layouts`.
        udmf: the map as text.
        sky: texture of its sky.
        segments: [n, 4] float64 blocking lines (x1, y1, x2, y2).
        start: (x, y) of a free position.
    """

    seed: int
    family: str
    udmf: str
    sky: str
    segments: np.ndarray
    start: tuple[float, float]

    @cached_property
    def space(self) -> FreeSpace:
        """The region reachable from ``start``."""
        return FreeSpace(self.segments, self.start)

    def sample_free_position(self, rng: np.random.Generator) -> tuple[int, int]:
        """Draw a reachable position (x, y) uniformly, in whole map units."""
        return self.space.sample(rng)


class _Udmf:
    """Collector of UDMF blocks; one-sided lines also become blocking segments."""

    def __init__(self) -> None:
        self.blocks: list[str] = ['namespace="zdoom";']
        self.segments: list[tuple[float, float, float, float]] = []
        self._vertices: dict[tuple[float, float], int] = {}
        self._sides = 0

    def _vertex(self, point: tuple[float, float]) -> int:
        if point not in self._vertices:
            self._vertices[point] = len(self._vertices)
            self.blocks.append(f"vertex{{x={point[0]};y={point[1]};}}")
        return self._vertices[point]

    def _side(self, text: str) -> int:
        self.blocks.append(f"sidedef{{{text}}}")
        self._sides += 1
        return self._sides - 1

    def wall(self, a: tuple[float, float], b: tuple[float, float], sector: int, texture: str, offset: int) -> None:
        """Add a solid wall from ``a`` to ``b``; the sector is on its right."""
        side = self._side(f'sector={sector};texturemiddle="{texture}";offsetx={offset};')
        ends = f"v1={self._vertex(a)};v2={self._vertex(b)};"
        self.blocks.append(f"linedef{{{ends}sidefront={side};blocking=true;dontpegbottom=true;}}")
        self.segments.append((*a, *b))

    def border(self, a: tuple[float, float], b: tuple[float, float], right: int, left: int, texture: str) -> None:
        """Add a passable line between two sectors; ``texture`` covers the step between their ceilings."""
        front, back = (self._side(f'sector={sector};texturetop="{texture}";') for sector in (right, left))
        ends = f"v1={self._vertex(a)};v2={self._vertex(b)};"
        self.blocks.append(f"linedef{{{ends}sidefront={front};sideback={back};twosided=true;}}")

    def thing(self, x: int, y: int, kind: int) -> None:
        skills = "".join(f"skill{level}=true;" for level in range(1, 6))
        self.blocks.append(f"thing{{x={x};y={y};angle=0;type={kind};{skills}single=true;}}")


@dataclass(frozen=True)
class _Area:
    walls: tuple[str, ...]
    landmark_share: float


def _add_sectors(udmf: _Udmf, count: int, rng: np.random.Generator) -> list[_Area]:
    """Add one sector per area, with surfaces from a palette of the map; return the areas' wall styles."""
    walls = rng.choice(textures.WALLS, int(rng.integers(3, 8)), replace=False)
    flats = rng.choice(textures.FLATS, int(rng.integers(3, 8)), replace=False)
    base_height = int(rng.choice([112, 128, 128, 144, 160]))
    sky_share = float(rng.choice([0.0, 0.15, 0.5], p=[0.5, 0.35, 0.15]))
    light = float(rng.uniform(160, 224))
    areas = []
    for _ in range(count):
        sky = rng.random() < sky_share
        height = (
            int(rng.choice([128, 160, 192]))
            if sky
            else int(np.clip(base_height + rng.choice([-16, 0, 0, 32]), 96, 192))
        )
        ceiling = "F_SKY1" if sky else str(rng.choice(textures.CEILING_LIGHTS if rng.random() < 0.06 else flats))
        level = int(np.clip(light + rng.normal(0, 22) + 16 * sky, 128, 248))
        udmf.blocks.append(
            f'sector{{heightfloor=0;heightceiling={height};texturefloor="{rng.choice(flats)}";'
            f'textureceiling="{ceiling}";lightlevel={level};}}'
        )
        styles = rng.choice(walls, int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1])), replace=False)
        areas.append(_Area(tuple(map(str, styles)), float(rng.choice([0.04, 0.1, 0.2]))))
    return areas


def _corners(layout: Layout, rng: np.random.Generator) -> np.ndarray:
    """Return grid corners [columns + 1, rows + 1, 2], displaced by at most ``layout.bends``."""
    corners = np.stack(np.meshgrid(layout.x, layout.y, indexing="ij"), -1)
    return np.round(corners + rng.uniform(-layout.bends, layout.bends, corners.shape))


def _borders(layout: Layout) -> list[tuple[int, int, int, int, int, int]]:
    """List straight borders (corner i, j to corner k, l, area on the right, area on the left), merged unless bent."""
    labels = layout.labels
    columns, rows = labels.shape
    found = []
    # vertical lines go up with their right side at larger x, horizontal ones go right with their right side below
    for upright in (True, False):
        outer, inner = (columns, rows) if upright else (rows, columns)
        for line in range(1, outer):
            pairs = [
                (int(labels[line, k]), int(labels[line - 1, k]))
                if upright
                else (int(labels[k, line - 1]), int(labels[k, line]))
                for k in range(inner)
            ]
            k = 0
            while k < inner:
                end = k + 1
                while end < inner and pairs[end] == pairs[k] and layout.bends == 0.0:
                    end += 1
                right, left = pairs[k]
                if right != left:
                    found.append((line, k, line, end, right, left) if upright else (k, line, end, line, right, left))
                k = end
    return found


def _add_wall(udmf: _Udmf, a: np.ndarray, b: np.ndarray, sector: int, area: _Area, rng: np.random.Generator) -> None:
    """Add a wall, now and then interrupted by a landmark panel of 64 or 128 units."""
    length = float(np.hypot(*(b - a)))
    texture = area.walls[int(rng.integers(len(area.walls)))]
    pieces = [(0.0, length, texture, round(float(a @ (b - a)) / length) % 256)]
    if length >= 96 and rng.random() < min(0.9, area.landmark_share * length / 128):
        width = 128.0 if length >= 192 else 64.0
        at = float(np.round(rng.uniform(16, length - width - 16)))
        after = pieces[0][3] + int(at + width)
        panel = str(rng.choice(textures.LANDMARKS))
        pieces = [
            (0.0, at, texture, pieces[0][3]),
            (at, at + width, panel, 0),
            (at + width, length, texture, after % 256),
        ]
    points = {share: tuple(np.round(a + (b - a) * share / length).tolist()) for piece in pieces for share in piece[:2]}
    for start, end, name, offset in pieces:
        udmf.wall(points[start], points[end], sector, name, offset)


def _add_obstacles(
    udmf: _Udmf, layout: Layout, corners: np.ndarray, areas: list[_Area], rng: np.random.Generator
) -> None:
    """Add polygonal pillars and decorations in cells whose neighbourhood is one open area."""
    columns, rows = layout.labels.shape
    decorated = float(rng.choice([0.0, 0.02, 0.05]))
    taken: list[np.ndarray] = []
    for i in range(2, columns - 2):
        for j in range(2, rows - 2):
            around = layout.labels[i - 1 : i + 2, j - 1 : j + 2]
            if (around != around[1, 1]).any() or around[1, 1] == SOLID or rng.random() > layout.pillars + decorated:
                continue
            centre = np.round(corners[i : i + 2, j : j + 2].mean((0, 1)))
            room = float(
                np.min(np.abs(corners[i - 1 : i + 3, j - 1 : j + 3] - centre).max(-1)[[0, 0, 3, 3], [0, 3, 0, 3]])
            )
            if any(np.abs(centre - other).max() < 176 for other in taken) or room < 100:
                continue
            taken.append(centre)
            sector = int(around[1, 1])
            if rng.random() * (layout.pillars + decorated) < layout.pillars:
                _add_pillar(udmf, centre, float(rng.uniform(20, min(64, room - 60))), sector, areas[sector], rng)
            else:
                kind = int(rng.choice(list(_DECORATIONS)))
                udmf.thing(int(centre[0]), int(centre[1]), kind)
                half = _DECORATIONS[kind]
                ring = [(centre[0] + half * a, centre[1] + half * b) for a, b in ((1, 1), (-1, 1), (-1, -1), (1, -1))]
                udmf.segments += [(*ring[k], *ring[(k + 1) % 4]) for k in range(4)]


def _add_pillar(
    udmf: _Udmf, centre: np.ndarray, radius: float, sector: int, area: _Area, rng: np.random.Generator
) -> None:
    sides = int(rng.choice([3, 4, 4, 6, 8]))
    turn = rng.uniform(0, 2 * np.pi)
    texture = str(rng.choice(area.walls if rng.random() < 0.5 else textures.WALLS))
    angles = turn + np.arange(sides) * 2 * np.pi / sides  # counter-clockwise: the open side is on the right
    ring = [tuple(np.round(centre + radius * np.array([np.cos(a), np.sin(a)])).tolist()) for a in angles]
    edge = int(2 * radius * np.sin(np.pi / sides))
    for k in range(sides):
        udmf.wall(ring[k], ring[(k + 1) % sides], sector, texture, k * edge % 256)


def generate_map(seed: int) -> DoomMap:
    """Generate the map of ``seed``; the same seed always gives the same map."""
    rng = np.random.default_rng([seed, 0x0D00])
    family = str(rng.choice(list(_FAMILY_WEIGHTS), p=list(_FAMILY_WEIGHTS.values())))
    layout = FAMILIES[family](rng)
    corners = _corners(layout, rng)
    udmf = _Udmf()
    areas = _add_sectors(udmf, int(layout.labels.max()) + 1, rng)
    lintel = str(rng.choice(textures.WALLS))
    for i, j, k, m, right, left in _borders(layout):
        a, b = corners[i, j], corners[k, m]
        if right == SOLID:
            _add_wall(udmf, b, a, left, areas[left], rng)
        elif left == SOLID:
            _add_wall(udmf, a, b, right, areas[right], rng)
        else:
            udmf.border(tuple(a.tolist()), tuple(b.tolist()), right, left, lintel)
    _add_obstacles(udmf, layout, corners, areas, rng)
    start = _start(layout, corners, np.array(udmf.segments))
    udmf.thing(int(start[0]), int(start[1]), 1)
    sky = str(rng.choice(textures.SKIES))
    return DoomMap(seed, family, "\n".join(udmf.blocks), sky, np.array(udmf.segments), start)


def _start(layout: Layout, corners: np.ndarray, segments: np.ndarray) -> tuple[float, float]:
    """Return the middle of the open cell that is furthest from walls."""
    cells = np.argwhere(layout.labels != SOLID)
    centres = np.round(np.stack([corners[i : i + 2, j : j + 2].mean((0, 1)) for i, j in cells]))
    clearance = segment_distances(centres[:, None], segments[None])[1].min(1)
    best = centres[int(clearance.argmax())]
    return float(best[0]), float(best[1])


def map_name(index: int) -> str:
    """Return the lump name of map ``index`` in a file that `write_wad` wrote."""
    return f"MAP{index + 1:02d}"


def write_wad(maps: Sequence[DoomMap], path: str | os.PathLike[str]) -> None:
    """Write maps to a PWAD as MAP01, MAP02, ... with their skies; the file appears whole or not at all."""
    info = "\n".join(f'map {map_name(i)} "{map_name(i)}" {{ sky1 = "{m.sky}", 0.0 }}' for i, m in enumerate(maps))
    lumps: list[tuple[str, bytes]] = [("ZMAPINFO", info.encode())]
    for i, doom_map in enumerate(maps):
        lumps += [(map_name(i), b""), ("TEXTMAP", doom_map.udmf.encode()), ("ENDMAP", b"")]
    body, directory = b"", b""
    for name, data in lumps:
        directory += struct.pack("<ii8s", 12 + len(body), len(data), name.encode())
        body += data
    with atomic_write(Path(path)) as temporary:
        temporary.write_bytes(struct.pack("<4sii", b"PWAD", len(lumps), 12 + len(body)) + body + directory)
