"""Distances to goals: straight, or along shortest paths; for many episodes at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from li_env.accel.ground_truth import BatchedField, DistanceField
from li_env.accel.grouping import equal_groups

Distance = Callable[[float, float], float]
"""Function (x, z) -> distance to a goal."""


@dataclass(frozen=True)
class StraightLine:
    """Euclidean distance to the goal (``goal_x``, ``goal_z``)."""

    goal_x: float
    goal_z: float

    def __call__(self, x: float, z: float) -> float:
        return float(np.hypot(self.goal_x - x, self.goal_z - z))


@dataclass(frozen=True, eq=False)
class PathLength:
    """Length of the shortest path to a goal, as a distance field knows it."""

    field: DistanceField

    def __call__(self, x: float, z: float) -> float:
        return float(self.field.at(np.array([[x, z]]))[0])


def distances(measures: Sequence[Distance], places: np.ndarray) -> np.ndarray:
    """Return what each measure returns for its place (x, z) of ``places`` [B, 2], bit for bit: float64 [B].

    Where the class of fields can, it measures all episodes at once.
    """
    found = np.empty(len(measures))
    fields = [each.field if isinstance(each, PathLength) else None for each in measures]
    keys: list[Any] = [type(each if field is None else field) for field, each in zip(fields, measures, strict=True)]
    for rows in equal_groups(keys):
        first, field = measures[rows[0]], fields[rows[0]]
        if isinstance(field, BatchedField):
            found[rows] = field.at_each([fields[row] for row in rows], places[rows])
        elif isinstance(first, StraightLine):
            lines = [each for row in rows if isinstance(each := measures[row], StraightLine)]
            away = np.array([(each.goal_x, each.goal_z) for each in lines]) - places[rows]
            found[rows] = np.hypot(away[:, 0], away[:, 1])
        else:
            found[rows] = [measures[row](*places[row].tolist()) for row in rows]
    return found
