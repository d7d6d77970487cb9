"""Measures of realised motions: how far they went, and whether a wall was touched."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from li_env.accel.geometry.camera import motion_table
from li_env.accel.grouping import equal_groups
from li_env.accel.runtime.chunk import PlannedChunk

CONTACT = 1e-5
"""Least change of a motion (length units) that counts as contact with a wall, as in Habitat-Sim. Less is rounding."""


def path_lengths(results: Sequence[PlannedChunk]) -> list[float]:
    """Add up the straight distances from latent to latent of each chunk, in their order."""
    lengths = np.zeros(len(results))
    for rows in equal_groups([len(result.motions) for result in results]):
        motions = motion_table([results[row].motions for row in rows])
        for steps in np.hypot(motions[..., 2], motions[..., 3]).T:
            lengths[rows] += steps
    return lengths.tolist()


def touched(result: PlannedChunk) -> bool:
    """Tell whether a wall stopped, shortened or bent any of the commanded motions."""
    return result.motions is not result.commanded and any(
        max(abs(real.right - asked.right), abs(real.forward - asked.forward)) > CONTACT
        for real, asked in zip(result.motions, result.commanded, strict=True)
        if real is not asked
    )
