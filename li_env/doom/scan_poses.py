"""Poses from which a map is photographed: spots spread over its free space, and headings at each of them."""

from __future__ import annotations

import math

import numpy as np

from li_env.doom.renderer import MAP_UNITS_PER_METRE, renderable_poses
from li_env.doom.space import FreeSpace


def scan_spots(
    space: FreeSpace, spacing: float, near: np.ndarray | None = None, within: float = math.inf
) -> np.ndarray:
    """Choose spots so that every free place lies within ``spacing`` / sqrt 2 metres of one, farthest places first.

    Args:
        space: free space of the map.
        spacing: metres between spots of a square grid that covers as densely.
        near: [n, 2] map units; only places within ``within`` metres of one of these are to be covered.

    Returns:
        [k, 2] float64, whole map units, in the order of choice.
    """
    free, origin, side = space.grid
    rows, columns = np.nonzero(free)
    places = np.round(origin + np.stack([columns, rows], -1) * side)
    if near is not None:
        away = np.full(len(places), np.inf)
        for point in np.unique(np.round(near / side), axis=0) * side:
            np.minimum(away, _squares(places, point), out=away)
        places = places[away <= (within * MAP_UNITS_PER_METRE) ** 2]
    reach = (spacing / math.sqrt(2) * MAP_UNITS_PER_METRE) ** 2
    # The first is far from a fixed place, so that the choice depends on the map alone.
    spots = [places[int(_squares(places, places[0]).argmax())]]
    away = _squares(places, spots[0])
    while away.max() > reach:
        spots.append(places[int(away.argmax())])
        away = np.minimum(away, _squares(places, spots[-1]))
    return np.array(spots)


def _squares(places: np.ndarray, spot: np.ndarray) -> np.ndarray:
    """Return the squared distances of places [n, 2] to a spot [2]: [n]."""
    squares: np.ndarray = ((places - spot) ** 2).sum(1)
    return squares


def scan_poses(spots: np.ndarray, headings: int, first: float | np.ndarray = 0.0) -> np.ndarray:
    """Return Doom poses (x, y, degrees) [k * headings, 3], renderable: all headings of a spot, then the next spot.

    Args:
        spots: [k, 2] map units.
        headings: views per spot, evenly around.
        first: degrees of the first heading, one for all spots or one per spot [k].
    """
    turns = np.arange(headings) * (360.0 / headings)
    degrees = (np.broadcast_to(first, len(spots))[:, None] + turns) % 360.0
    places = np.broadcast_to(spots[:, None], (len(spots), headings, 2))
    return renderable_poses(np.concatenate([places, degrees[..., None]], -1).reshape(-1, 3))


def training_scan(
    space: FreeSpace, path: np.ndarray, views: int, spacings: tuple[float, float], rng: np.random.Generator
) -> np.ndarray:
    """Return ``views`` Doom poses [views, 3] of a scan around a path, as dense as ``rng`` wants it.

    Eight headings a spot, the spots nearest to the path; what is left over are single views from anywhere.

    Args:
        path: [n, 2] map units.
        views: how many; 0 for none.
        spacings: least and most metres between spots.
    """
    if not views:
        return np.empty((0, 3))
    headings = 8
    spots = scan_spots(space, float(rng.uniform(*spacings)), path, within=4.0)
    away = ((spots[:, None] - path[None, ::4]) ** 2).sum(-1).min(1)
    spots = spots[np.argsort(away, kind="stable")[: views // headings]]
    poses = scan_poses(spots, headings, rng.uniform(0, 360, len(spots)) if rng.random() < 0.5 else 0.0)
    single = [(*space.sample(rng), float(rng.uniform(0, 360))) for _ in range(views - len(poses))]
    return np.concatenate([poses, renderable_poses(np.array(single).reshape(-1, 3))])
