"""Goals of navigation: what the reset options wish, and what an episode then has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from li_env.tasks.distances import Distance
from li_env.tasks.scan_goals import ScanGoals


@dataclass(frozen=True, eq=False)
class Goal:
    """Goal of an episode.

    Attributes:
        position: (x, z) in the axes of ``info["pose"]``.
        distance: from (x, z) to the goal: along a known map or a scan, else Euclidean.
        image: the view at the goal, uint8 [H, W, 3], for ImageGoal.
        episode: index in the dataset, -1 without one.
    """

    position: tuple[float, float]
    distance: Distance
    image: np.ndarray | None
    episode: int


@dataclass(frozen=True, eq=False)
class Wish:
    """Goal that the reset options name, as far as they name it.

    Attributes:
        position: (x, z); None leaves it to a draw.
        image: the view at the goal, uint8 [H, W, 3]; None if none is given.
        scan: goals of the scan that the episode takes place in; None without a scan.
    """

    position: tuple[float, float] | None
    image: np.ndarray | None = None
    scan: ScanGoals | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any], scan: ScanGoals | None) -> Wish:
        """Read the options ``goal`` and ``goal_view``.

        Raises:
            ValueError: no place, no such view, both, or a view without a scan.
        """
        if "goal_view" in options:
            if scan is None:
                raise ValueError("reset option 'goal_view' needs a scan: reset(options={'scan': ..., 'goal_view': k})")
            if both := sorted({"goal", "goal_image"} & options.keys()):
                raise ValueError(
                    f"reset option 'goal_view' excludes {both[0]!r}: the view brings its place and picture"
                )
            return cls(*scan.view(options["goal_view"]), scan)
        return cls(wished_place(options["goal"]) if "goal" in options else None, None, scan)


def wished_place(given: Any) -> tuple[float, float]:
    """Return a place (x, z).

    Raises:
        ValueError: no two finite numbers.
    """
    try:
        goal = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        goal = np.full(0, np.nan)
    if goal.shape != (2,) or not np.isfinite(goal).all() or np.abs(goal).max() >= 1e6:
        raise ValueError(f"goal={given!r} is not usable; allowed: two finite numbers x, z below 1e6")
    return float(goal[0]), float(goal[1])
