"""Agreement of an agent's episodes in two environments, such as a world and the game that it learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def agreement(there: Sequence[Mapping[str, float]], here: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Compare the rows of `li_env.agents.evaluate.evaluate` of the same episodes.

    Args:
        there: rows of the environment that counts as true.
        here: rows of the other one, in the same order.

    Returns:
        ``episodes``; ``success`` and ``spl``: means ``there`` and ``here``; ``same_success``: share of episodes with
        the same end; ``only_there`` and ``only_here``: shares that succeed in one alone; ``spl_difference``: ``mean``
        of here - there and ``mean_absolute`` per episode; ``final_distance_difference``: median of the absolute
        differences of the distance to the goal at the end, in length units.

    Raises:
        ValueError: different numbers of episodes, or none.
    """
    if len(there) != len(here) or not there:
        raise ValueError(f"episodes: {len(there)} and {len(here)}; allowed: equal numbers, at least one")
    success, spl, ends = (
        np.array([[row[name] for row in rows] for rows in (there, here)])
        for name in ("success", "spl", "distance_to_goal")
    )
    reached = success > 0.5
    return {
        "episodes": len(there),
        "success": {"there": float(success[0].mean()), "here": float(success[1].mean())},
        "spl": {"there": float(spl[0].mean()), "here": float(spl[1].mean())},
        "same_success": float((reached[0] == reached[1]).mean()),
        "only_there": float((reached[0] & ~reached[1]).mean()),
        "only_here": float((~reached[0] & reached[1]).mean()),
        "spl_difference": {
            "mean": float((spl[1] - spl[0]).mean()),
            "mean_absolute": float(np.abs(spl[1] - spl[0]).mean()),
        },
        "final_distance_difference": float(np.median(np.abs(ends[1] - ends[0]))),
    }
