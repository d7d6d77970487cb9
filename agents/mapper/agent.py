"""Mapper: a learned agent that draws an occupancy grid and follows the shortest path through it.

The parts are those of Active Neural SLAM (Chaplot et al. 2020, arXiv 2004.05155): learned perception, a map in the
agent's own coordinates, a planner. The agent plays PointGoal. It uses frames, the goal sensor and its own pose (GPS and
compass).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from li_env import View
from li_env.agents.constants import BUMP
from li_env.agents.macro_actions import STOP, MacroActions, macro_action_towards
from li_env.agents.mapper import occupancy
from li_env.agents.mapper.free_space_net import FreeSpaceNet
from li_env.agents.micro_batches import in_micro_batches

_TURNS = torch.arange(-180.0, 180.0, 15.0)  # degrees to the right, of the directions that are compared
_AHEAD = 3.0  # length units of a whole step
_POINTS = 6  # samples along it
_TURN_COST = 1 / 120  # length units per degree of turning
_CLEAR = 5.0  # cost per length unit below which the agent walks


@dataclass(frozen=True, eq=False)
class MapperState:
    """State of the agent in one episode.

    Attributes:
        origin: (x, z) where the episode began, the centre of the grid.
        occupancy: float32 [cells, cells], see `li_env.agents.mapper.occupancy`.
    """

    origin: tuple[float, float]
    occupancy: np.ndarray


class Mapper:
    """Agent that follows its own map.

    Args:
        net: network that estimates clearances.
        macro_actions: choices, with ``stop``.
        fov: width of the view in degrees.
        arrival: distance to the goal, in length units, below which the agent stops.
    """

    def __init__(self, net: FreeSpaceNet, macro_actions: MacroActions, fov: float, arrival: float) -> None:
        self.net, self._macro_actions, self._fov, self._arrival = net, macro_actions, np.radians(fov), arrival
        self._device = next(net.parameters()).device

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """Answer every view; the agent state is a `MapperState`."""
        poses = np.stack([view.info["pose"] for view in views])
        states = [_state(view) for view in views]
        origins = np.array([state.origin for state in states])
        yaw = [math.atan2(pose[0, 2], pose[2, 2]) for pose in poses]
        seen = {
            "poses": self._tensor(np.column_stack([poses[:, [0, 2], 3] - origins, yaw])),
            "goals": self._tensor(np.stack([view.observation["pointgoal"] for view in views])),  # type: ignore[index]
            "bumped": torch.tensor([view.info["blocked"] > BUMP for view in views], device=self._device),
            "clearances": self.net.predict(np.stack([view.observation["rgb"] for view in views])),  # type: ignore[index]
            "grids": self._tensor(np.stack([state.occupancy for state in states])),
        }
        with torch.inference_mode():
            known = in_micro_batches(self._update, seen)
            # Sums and minima alone: exact at every number of grids, so that no micro-batches are needed.
            known["distances"] = occupancy.distances(known["costs"], known["goals"])
            chosen = in_micro_batches(self._choose, {"poses": seen["poses"], **known})
        indices = [
            STOP if float(view.observation["pointgoal"][0]) < self._arrival else macro_action_towards(turn, clearance)  # type: ignore[index]
            for view, turn, clearance in zip(views, chosen["turns"].tolist(), chosen["clear"].tolist(), strict=True)
        ]
        grids = known["grids"].cpu().numpy()
        return self._macro_actions.actions(indices), [
            MapperState(state.origin, grid) for state, grid in zip(states, grids, strict=True)
        ]

    def _update(self, seen: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the grids after a view, the costs of their cells, and (x, z) of the goals in the grids."""
        poses = seen["poses"]
        grids = occupancy.add_bump(seen["grids"], poses, seen["bumped"])
        grids = occupancy.add_view(grids, poses, seen["clearances"], self._fov)
        heading = poses[:, 2] + seen["goals"][:, 1]
        goals = poses[:, :2] + seen["goals"][:, :1] * torch.stack([heading.sin(), heading.cos()], -1)
        return {"grids": grids, "costs": occupancy.costs(grids), "goals": goals}

    def _choose(self, known: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return, for every episode, the turn in degrees to the best of 24 headings and the clearance there."""
        costs, poses, goals = known["costs"], known["poses"], known["goals"]
        turns = _TURNS.to(costs.device)
        reach = (goals - poses[:, :2]).norm(dim=-1).clamp(0.75, _AHEAD)
        headings = poses[:, 2:] + torch.deg2rad(turns)  # [n, h]
        along = torch.arange(1, _POINTS + 1, device=costs.device) / _POINTS * reach[:, None]  # [n, p]
        directions = torch.stack([headings.sin(), headings.cos()], -1)  # [n, h, 2]
        points = poses[:, None, None, :2] + along[:, None, :, None] * directions[:, :, None]  # [n, h, p, 2]
        count = len(costs)
        paid = occupancy.sample(costs, points.reshape(count, -1, 2)).view(points.shape[:3])
        left = occupancy.sample(known["distances"], points[:, :, -1])
        total = paid.mean(-1) * reach[:, None] + left + _TURN_COST * turns.abs()
        best = total.argmin(1)
        rows = torch.arange(count, device=costs.device)
        clear = (paid[rows, best] < _CLEAR).float().cumprod(-1).sum(-1) / _POINTS * reach
        return {"turns": turns[best], "clear": clear}

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(self._device)


def _state(view: View) -> MapperState:
    if view.memory is not None:
        return view.memory
    x, z = view.info["pose"][[0, 2], 3].tolist()
    return MapperState((x, z), np.zeros((occupancy.CELLS, occupancy.CELLS), np.float32))
