"""Shortest ways in maps whose walls are known: the teacher of behaviour cloning and an upper bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from li_env.agents.base import Label
from li_env.agents.macro_actions import STOP, MacroActions, move_towards
from li_env.doom.geodesic import map_distance
from li_env.doom.known_maps import known_map, known_walls
from li_env.doom.renderer import MAP_UNITS_PER_METRE
from li_env.doom.walking import exact_doom_poses, planar_poses
from li_env.rollouts import View
from li_env.tasks import EpisodeDataset, EpisodeRecord

_LOOK = np.arange(-180.0, 180.0, 15.0)
_AHEAD = 3.0  # metres
_STRIDES = 4  # in which it is walked
_RAYS = np.linspace(-40.0, 40.0, 9)  # degrees, inside the view
_SIGHT = 6.0  # metres


def clearances(map_seed: int, pose: np.ndarray, angles: np.ndarray, reach: float) -> np.ndarray:
    """How far [k] one can walk straight ahead, in metres up to ``reach``, at ``angles`` [k] degrees right of a pose."""
    ((x, y, heading),) = exact_doom_poses(planar_poses(pose[None]))
    lengths = known_map(map_seed).space.clear_lengths((x, y), np.radians(heading - angles), reach * MAP_UNITS_PER_METRE)
    return lengths / MAP_UNITS_PER_METRE


class ShortestPathFollower:
    """Tries along 24 headings how much closer 3 m of walking would bring it, turns to the best and walks.

    It sees the map and neither frames nor what the world makes of its moves. Goal tasks with a dataset whose episodes
    name their maps.

    Args:
        moves: of the action space, with ``stop``.
        dataset: that the episodes come from.
        arrival: stops within this distance of the goal, in metres.
    """

    def __init__(self, moves: MacroActions, dataset: EpisodeDataset, arrival: float) -> None:
        self._moves, self._dataset, self._arrival = moves, dataset, arrival

    def label(self, view: View) -> Label:
        """The move to make, and the free way along nine rays of the view (1 is 6 m).

        Raises:
            ValueError: the map of the episode is not known.
        """
        rays = clearances(self.map_of(view), view.info["pose"], _RAYS, _SIGHT) / _SIGHT
        return Label(self.choose(view), rays.astype(np.float32))

    def map_of(self, view: View) -> int:
        """Seed of the map of an episode.

        Raises:
            ValueError: it is not known.
        """
        return int(self._record(view).map_seed or 0)

    def choose(self, view: View) -> int:
        """Index of the move to make.

        Raises:
            ValueError: the map of the episode is not known.
        """
        record = self._record(view)
        assert record.map_seed is not None
        if view.info["distance_to_goal"] < self._arrival:
            return STOP
        ((x, y, angle),) = exact_doom_poses(planar_poses(view.info["pose"][None]))
        limit = min(_AHEAD, max(0.75, float(view.info["distance_to_goal"]))) * MAP_UNITS_PER_METRE
        headings = np.radians(angle - _LOOK)
        stride = limit / _STRIDES * np.stack([np.cos(headings), np.sin(headings)], -1)
        which, ends = np.zeros(len(_LOOK), dtype=int), np.tile([x, y], (len(_LOOK), 1))
        lost = np.zeros(len(_LOOK))
        for _ in range(_STRIDES):
            after = known_walls(record.map_seed).slide(which, ends, stride)
            lost += limit / _STRIDES - np.hypot(*(after - ends).T)
            ends = after
        left = map_distance(record.map_seed, *record.goal[:2]).of(ends) / MAP_UNITS_PER_METRE
        # A turn costs a step: prefer what lies ahead when it is nearly as good. Sliding along a wall is fine, but free
        # ways are better.
        best = int(np.argmin(left + np.abs(_LOOK) / 90.0 + 0.25 * lost / MAP_UNITS_PER_METRE))
        ways = np.hypot(*(ends - [x, y]).T) / MAP_UNITS_PER_METRE
        return move_towards(float(_LOOK[best]), float(ways[best]))

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """See `li_env.agents.base.Agent`."""
        return self._moves.actions([self.choose(view) for view in views]), [None] * len(views)

    def _record(self, view: View) -> EpisodeRecord:
        record = self._dataset.episodes[int(view.info["episode_index"])]
        if record.map_seed is None:
            raise ValueError(f"episode {view.info['episode_index']} names no map; allowed: episodes with a map_seed")
        return record
