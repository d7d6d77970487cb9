"""Shortest-path follower in maps whose walls are known: the teacher of behaviour cloning and an upper bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from li_env.agents.base import Label
from li_env.agents.macro_actions import STOP, MacroActions, macro_action_towards
from li_env.doom.geodesic import map_distance
from li_env.doom.known_maps import known_map, known_walls
from li_env.doom.renderer import MAP_UNITS_PER_METRE
from li_env.doom.walking import exact_doom_poses, planar_poses
from li_env.rollouts import View
from li_env.tasks import EpisodeDataset, EpisodeRecord

_TURNS = np.arange(-180.0, 180.0, 15.0)  # degrees to the right, of the directions that are tried
_AHEAD = 3.0  # metres that are tried in every direction
_STRIDES = 4  # parts in which they are walked
_RAYS = np.linspace(-40.0, 40.0, 9)  # degrees, inside the view
_REACH = 6.0  # metres of clearance that count as 1 in a label


def clearances(map_seed: int, pose: np.ndarray, angles: np.ndarray, reach: float) -> np.ndarray:
    """Return the clearance [k] ahead of a pose in metres, at most ``reach``.

    Args:
        map_seed: seed of the map.
        pose: camera-to-world matrix [4, 4].
        angles: degrees [k] to the right of the pose.
        reach: largest clearance in metres.
    """
    ((x, y, heading),) = exact_doom_poses(planar_poses(pose[None]))
    lengths = known_map(map_seed).space.clear_lengths((x, y), np.radians(heading - angles), reach * MAP_UNITS_PER_METRE)
    return lengths / MAP_UNITS_PER_METRE


class ShortestPathFollower:
    """Agent that tries along 24 headings how much closer 3 m would bring it, turns to the best and walks.

    It knows the map. It sees neither frames nor what the world makes of its actions. It plays goal tasks with a dataset
    whose episodes name their maps.

    Args:
        macro_actions: choices, with ``stop``.
        dataset: dataset that the episodes come from.
        arrival: distance to the goal, in metres, below which the agent stops.
    """

    def __init__(self, macro_actions: MacroActions, dataset: EpisodeDataset, arrival: float) -> None:
        self._macro_actions, self._dataset, self._arrival = macro_actions, dataset, arrival

    def label(self, view: View) -> Label:
        """Return the macro action to take and the clearances along nine rays of the view (1 is 6 m).

        Raises:
            ValueError: the map of the episode is not known.
        """
        lengths = clearances(self.map_of(view), view.info["pose"], _RAYS, _REACH) / _REACH
        return Label(self.choose(view), lengths.astype(np.float32))

    def map_of(self, view: View) -> int:
        """Return the seed of an episode's map.

        Raises:
            ValueError: it is not known.
        """
        return int(self._record(view).map_seed or 0)

    def choose(self, view: View) -> int:
        """Return the index of the macro action to take.

        Raises:
            ValueError: the map of the episode is not known.
        """
        record = self._record(view)
        assert record.map_seed is not None
        if view.info["distance_to_goal"] < self._arrival:
            return STOP
        ((x, y, angle),) = exact_doom_poses(planar_poses(view.info["pose"][None]))
        limit = min(_AHEAD, max(0.75, float(view.info["distance_to_goal"]))) * MAP_UNITS_PER_METRE
        headings = np.radians(angle - _TURNS)
        stride = limit / _STRIDES * np.stack([np.cos(headings), np.sin(headings)], -1)
        which, ends = np.zeros(len(_TURNS), dtype=int), np.tile([x, y], (len(_TURNS), 1))
        lost = np.zeros(len(_TURNS))
        for _ in range(_STRIDES):
            after = known_walls(record.map_seed).slide(which, ends, stride)
            lost += limit / _STRIDES - np.hypot(*(after - ends).T)
            ends = after
        left = map_distance(record.map_seed, *record.goal[:2]).of(ends) / MAP_UNITS_PER_METRE
        # A turn costs a step: prefer what lies ahead when it is nearly as good. Sliding along a wall is allowed, but
        # clear ground is better.
        best = int(np.argmin(left + np.abs(_TURNS) / 90.0 + 0.25 * lost / MAP_UNITS_PER_METRE))
        lengths = np.hypot(*(ends - [x, y]).T) / MAP_UNITS_PER_METRE
        return macro_action_towards(float(_TURNS[best]), float(lengths[best]))

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        return self._macro_actions.actions([self.choose(view) for view in views]), [None] * len(views)

    def _record(self, view: View) -> EpisodeRecord:
        record = self._dataset.episodes[int(view.info["episode_index"])]
        if record.map_seed is None:
            raise ValueError(f"episode {view.info['episode_index']} names no map; allowed: episodes with a map_seed")
        return record
