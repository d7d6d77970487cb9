"""Which old latents come back into the context: candidate groups and the policies that choose among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from li_env.accel.pose_track import PoseTrack

MAX_CANDIDATES = 32
"""Groups whose view overlap is computed per chunk (or twice as many as are retrieved); see `nearest_groups`."""

MAX_SEARCHED = 1024
"""Groups (or latents) among which `nearest_groups` and the planner search: the most recent ones."""

_BLOCK = 64
"""Worlds searched together, so that what they need does not grow with their number."""

MAX_QUERIES = 4
"""Poses of the coming chunk that are compared; evenly spaced if it has more."""


@dataclass(frozen=True)
class RetrievalRequest:
    """One world's question: the ``track`` so far and ``next_poses`` [n, 4, 4], the poses to come.

    Only latents before index ``before``, where the recent window begins, may be retrieved.
    """

    track: PoseTrack
    next_poses: np.ndarray
    before: int


@dataclass(frozen=True)
class RetrievalChoice:
    """What a policy found.

    Attributes:
        memory: latent indices to retrieve, increasing.
        similarity: how well the history shows the coming views, in [0, 1]; each policy says how it measures that.
        revisit: whether the coming views count as seen before.
        reason: why, as the beginning of a sentence.
        complete: whether ``memory`` is simply everything before the recent window.
        slots: see `ChunkPlan.slots`.
    """

    memory: tuple[int, ...]
    similarity: float
    revisit: bool
    reason: str
    complete: bool = False
    slots: tuple[tuple[int, int], ...] = ()


class RetrievalPolicy(Protocol):
    """Chooses old latents for a batch of worlds."""

    def choose(self, requests: Sequence[RetrievalRequest]) -> list[RetrievalChoice]:
        """One choice per request: at most `memory_latents` latents, all before the window."""
        ...


def view_centres(poses: np.ndarray, view_distance: float) -> np.ndarray:
    """Points [..., 3] half the view distance in front of cameras [..., 4, 4]."""
    return poses[..., :3, 3] + 0.5 * view_distance * poses[..., :3, 2]


def queries_of(next_poses: np.ndarray) -> np.ndarray:
    """At most `MAX_QUERIES` of the poses [n, 4, 4], evenly spaced."""
    if len(next_poses) <= MAX_QUERIES:
        return next_poses
    return next_poses[np.linspace(0, len(next_poses) - 1, MAX_QUERIES).round().astype(int)]
