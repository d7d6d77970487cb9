"""Shortest-path follower in maps whose walls are known: the teacher of behaviour cloning and an upper bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from li_env import CameraMotion, EpisodeDataset, GroundTruth, Task, View
from li_env.accel.geometry.camera import follow_many, motion_table
from li_env.agents.base import Label
from li_env.agents.constants import ARRIVAL
from li_env.agents.macro_actions import STOP, MacroActions, macro_action_towards
from li_env.tasks import EpisodeRecord, ImageGoal, PointGoal

_TURNS = np.arange(-180.0, 180.0, 15.0)  # degrees to the right, of the directions that are tried
_AHEAD = 3.0  # metres that are tried in every direction
_STRIDES = 4  # parts in which they are walked
_RAYS = np.linspace(-40.0, 40.0, 9)  # degrees, inside the view
_REACH = 6.0  # metres of clearance that count as 1 in a label


class ShortestPathFollower:
    """Agent that tries along 24 headings how much closer 3 m would bring it, turns to the best and walks.

    It knows the map. It sees neither frames nor what the world makes of its actions. It plays goal tasks with a dataset
    whose episodes name their maps.

    Args:
        macro_actions: choices, with ``stop``.
        dataset: dataset that the episodes come from.
        truth: ground truth of the dataset's maps.
        arrival: distance to the goal, in metres, below which the agent stops.
    """

    def __init__(
        self, macro_actions: MacroActions, dataset: EpisodeDataset, truth: GroundTruth, arrival: float
    ) -> None:
        self._macro_actions, self._dataset, self._truth, self._arrival = macro_actions, dataset, truth, arrival

    def label(self, view: View) -> Label:
        """Return the macro action to take and the clearances along nine rays of the view (1 is 6 m).

        Raises:
            ValueError: the map of the episode is not known.
        """
        lengths = self.clearances(view, _RAYS, _REACH) / _REACH
        return Label(self.choose(view), lengths.astype(np.float32))

    def clearances(self, view: View, angles: np.ndarray, reach: float) -> np.ndarray:
        """Return the clearances [k] ahead in length units, at most ``reach``, at ``angles`` [k] degrees to the right.

        Raises:
            ValueError: the map of the episode is not known.
        """
        map_id = int(self._record(view).map_seed or 0)
        return self._truth.clearance(map_id, view.info["pose"][None], angles, reach)[0]

    def choose(self, view: View) -> int:
        """Return the index of the macro action to take.

        Raises:
            ValueError: the map of the episode is not known.
        """
        record = self._record(view)
        assert record.map_seed is not None
        if view.info["distance_to_goal"] < self._arrival:
            return STOP
        length = min(_AHEAD, max(0.75, float(view.info["distance_to_goal"]))) / _STRIDES
        stride = CameraMotion(forward=length)
        commanded = [(replace(stride, yaw=turn), *[stride] * (_STRIDES - 1)) for turn in _TURNS.tolist()]
        poses = np.stack([view.info["pose"]] * len(_TURNS))
        realised = self._truth.walk([record.map_seed] * len(_TURNS), poses, commanded)
        walked = np.array([[np.hypot(each.right, each.forward) for each in motions] for motions in realised])
        ends = follow_many(poses, motion_table(realised))[:, -1, [0, 2], 3]
        left = self._truth.distance(record.map_seed, record.goal[:2]).near(ends)
        # A turn costs a step: prefer what lies ahead when it is nearly as good. Sliding along a wall is allowed, but
        # clear ground is better.
        best = int(np.argmin(left + np.abs(_TURNS) / 90.0 + 0.25 * (length - walked).sum(1)))
        lengths = np.hypot(*(ends - view.info["pose"][[0, 2], 3]).T)
        return macro_action_towards(float(_TURNS[best]), float(lengths[best]))

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        return self._macro_actions.actions([self.choose(view) for view in views]), [None] * len(views)

    def _record(self, view: View) -> EpisodeRecord:
        record = self._dataset.episodes[int(view.info["episode_index"])]
        if record.map_seed is None:
            raise ValueError(f"episode {view.info['episode_index']} names no map; allowed: episodes with a map_seed")
        return record


def follower_of(task: Task, macro_actions: MacroActions) -> ShortestPathFollower | None:
    """Make the follower of a goal task; None if its episodes lie in no known maps."""
    if not isinstance(task, PointGoal | ImageGoal) or task.dataset is None or task.truth is None:
        return None
    return ShortestPathFollower(macro_actions, task.dataset, task.truth, ARRIVAL * task.rules.success_radius)
