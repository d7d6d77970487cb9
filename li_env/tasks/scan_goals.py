"""Goals in a scanned place: a view to find again, or a place, with the lengths of the paths to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from li_env.accel.ground_truth import DistanceField, GroundTruth
from li_env.fitted_scans import FittedScan
from li_env.scans.scan import Scan
from li_env.tasks.distances import PathLength
from li_env.tasks.scan_paths import ScanPaths
from li_env.validation import check_whole

_paths: WeakKeyDictionary[Scan, ScanPaths] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class ScanGoals:
    """Goals of one scan.

    Args:
        fitted: the scan.
        truth: knowledge of the maps of the world; with it and the scan's ``map_seed`` paths go around the map's walls.
        reach: how far a view sees, in length units.
    """

    fitted: FittedScan
    truth: GroundTruth | None
    reach: float

    def view(self, view: Any) -> tuple[tuple[float, float], np.ndarray]:
        """Return the place (x, z) and the picture uint8 [H, W, 3] of a view.

        Raises:
            ValueError: no such view.
        """
        index = check_whole("goal_view", view, 0, len(self.fitted.bank) - 1)
        x, z = self.fitted.bank.poses[index][[0, 2], 3]
        return (float(x), float(z)), self.fitted.scan.images[index]

    def distance(self, goal: tuple[float, float]) -> PathLength:
        """Return the length of the path to a goal (x, z): along the map where it is known, else along the views.

        Raises:
            ValueError: the goal is in a wall of the map, or farther from all views than a view sees.
        """
        return PathLength(self._field(goal))

    def draw(self, pose: np.ndarray, lengths: tuple[float, float], generator: np.random.Generator) -> int:
        """Draw a view to find from ``pose`` [4, 4]: one whose path has a length between the two of ``lengths``.

        Where no view has, one of the views at the farthest place is drawn.
        """
        places = self.fitted.bank.poses[:, [0, 2], 3]
        away = self._field((float(pose[0, 3]), float(pose[2, 3]))).near(places)
        away = np.where(np.isfinite(away), away, -1.0)
        least, most = lengths
        fitting = np.flatnonzero((away >= least) & (away <= most))
        if not len(fitting):
            fitting = np.flatnonzero(away >= away.max() - 1e-6)
        return int(fitting[generator.integers(len(fitting))])

    def _field(self, goal: tuple[float, float]) -> DistanceField:
        nearest = float(np.hypot(*(self.fitted.bank.poses[:, [0, 2], 3] - goal).T).min())
        if nearest > self.reach:
            raise ValueError(
                f"goal={list(goal)} is {nearest:.4g} from the nearest view of the scan; allowed: at most {self.reach:g}"
            )
        seed = self.fitted.scan.map_seed
        if seed is not None and self.truth is not None:
            try:
                return self.truth.distance(seed, goal)
            except ValueError as error:
                raise ValueError(f"goal={list(goal)} is outside map {seed} of the scan: {error}") from None
        scan = self.fitted.scan
        if scan not in _paths:
            _paths[scan] = ScanPaths(scan.poses)
        return _paths[scan].to(goal)
