"""A scan of the analytic world's room."""

from __future__ import annotations

import numpy as np

from li_env.scans.scan import Scan
from tests.accel.level import level
from tests.analytic_world import AnalyticWorld

STEP, HEADINGS = 2.0, 8
PLACES = (-STEP, 0.0, STEP)


def room_poses() -> np.ndarray:
    """Return the poses [72, 4, 4] of nine spots, all headings of a spot in a row."""
    headings = np.arange(HEADINGS) * 2 * np.pi / HEADINGS
    return np.concatenate([level(np.full(HEADINGS, x), np.full(HEADINGS, z), headings) for x in PLACES for z in PLACES])


def room_scan(world: AnalyticWorld | None = None) -> Scan:
    """Return views of the room as the world shows them."""
    world, poses = world or AnalyticWorld(), room_poses()
    return Scan(np.stack([world.render(pose) for pose in poses]), poses)
