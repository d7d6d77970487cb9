"""An agent that learned to see: it draws a map of what its eye tells and follows the shortest way through it.

The modules are those of Active Neural SLAM (Chaplot et al. 2020, arXiv 2004.05155): learned perception, a map in the
agent's own coordinates, a planner. PointGoal only. It uses frames, the goal sensor and its own pose (GPS and compass).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from li_env.agents.constants import BUMP
from li_env.agents.macro_actions import STOP, MacroActions, move_towards
from li_env.agents.mapper import occupancy
from li_env.agents.mapper.free_space_net import FreeSpaceNet
from li_env.agents.micro_batches import by_blocks
from li_env.rollouts import View

_HEADINGS = torch.arange(-180.0, 180.0, 15.0)
_AHEAD = 3.0  # length units of a whole step
_POINTS = 6  # along it
_TURN = 1 / 120  # length units that a degree of turning costs


@dataclass(frozen=True, eq=False)
class MapperState:
    """Of one episode: where it began (x, z), and beliefs [cells, cells] float32 about the floor plan around."""

    origin: tuple[float, float]
    belief: np.ndarray


class Mapper:
    """Follows its own map.

    Args:
        eye: what it sees with.
        moves: of the action space, with ``stop``.
        fov: width of the view in degrees.
        arrival: stops within this distance of the goal.
    """

    def __init__(self, eye: FreeSpaceNet, moves: MacroActions, fov: float, arrival: float) -> None:
        self.eye, self._moves, self._fov, self._arrival = eye, moves, np.radians(fov), arrival
        self._device = next(eye.parameters()).device

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Any]]:
        """See `li_env.agents.base.Agent`; the memory is a `MapperState`."""
        poses = np.stack([view.info["pose"] for view in views])
        memories = [_memory(view) for view in views]
        origins = np.array([memory.origin for memory in memories])
        yaw = [math.atan2(pose[0, 2], pose[2, 2]) for pose in poses]
        seen = {
            "places": self._tensor(np.column_stack([poses[:, [0, 2], 3] - origins, yaw])),
            "goals": self._tensor(np.stack([view.observation["pointgoal"] for view in views])),  # type: ignore[index]
            "bumped": torch.tensor([view.info["blocked"] > BUMP for view in views], device=self._device),
            "ways": self.eye.look(np.stack([view.observation["rgb"] for view in views])),  # type: ignore[index]
            "grids": self._tensor(np.stack([memory.belief for memory in memories])),
        }
        with torch.inference_mode():
            known = by_blocks(self._update, seen)
            # Sums and minima alone: exact, whatever the number of grids.
            known["fields"] = occupancy.distances(known["prices"], known["goals"])
            chosen = by_blocks(self._choose, {"places": seen["places"], **known})
        distances = [float(view.observation["pointgoal"][0]) for view in views]  # type: ignore[index]
        choices = [
            STOP if distance < self._arrival else move_towards(turn, way)
            for distance, turn, way in zip(distances, chosen["turns"].tolist(), chosen["free"].tolist(), strict=True)
        ]
        grids = known["grids"].cpu().numpy()
        return self._moves.actions(choices), [
            MapperState(memory.origin, grid) for memory, grid in zip(memories, grids, strict=True)
        ]

    def _update(self, seen: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Beliefs after a look, what they cost to walk through, and (x, z) of the goals in the maps."""
        places = seen["places"]
        grids = occupancy.look(occupancy.bump(seen["grids"], places, seen["bumped"]), places, seen["ways"], self._fov)
        heading = places[:, 2] + seen["goals"][:, 1]
        goals = places[:, :2] + seen["goals"][:, :1] * torch.stack([heading.sin(), heading.cos()], -1)
        return {"grids": grids, "prices": occupancy.price(grids), "goals": goals}

    def _choose(self, known: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """For every episode the turn in degrees to the best of 24 headings, and how far the way is free there."""
        prices, places, goals = known["prices"], known["places"], known["goals"]
        every = _HEADINGS.to(prices.device)
        reach = (goals - places[:, :2]).norm(dim=-1).clamp(0.75, _AHEAD)
        headings = places[:, 2:] + torch.deg2rad(every)  # [n, h]
        along = torch.arange(1, _POINTS + 1, device=prices.device) / _POINTS * reach[:, None]  # [n, p]
        toward = torch.stack([headings.sin(), headings.cos()], -1)  # [n, h, 2]
        points = places[:, None, None, :2] + along[:, None, :, None] * toward[:, :, None]  # [n, h, p, 2]
        count = len(prices)
        paid = occupancy.sample(prices, points.reshape(count, -1, 2)).view(points.shape[:3])
        left = occupancy.sample(known["fields"], points[:, :, -1])
        total = paid.mean(-1) * reach[:, None] + left + _TURN * every.abs()
        best = total.argmin(1)
        rows = torch.arange(count, device=prices.device)
        clear = (paid[rows, best] < 5.0).float().cumprod(-1).sum(-1) / _POINTS * reach
        return {"turns": every[best], "free": clear}

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(self._device)


def _memory(view: View) -> MapperState:
    if view.memory is not None:
        return view.memory
    x, z = view.info["pose"][[0, 2], 3].tolist()
    return MapperState((x, z), np.zeros((occupancy.CELLS, occupancy.CELLS), np.float32))
