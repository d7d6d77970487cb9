"""Retrieval of old latents into the context: request, choice and policy, with limits of the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from li_env.accel.pose_track import PoseTrack
from li_env.accel.view_bank import ViewBank

MAX_CANDIDATES = 32
"""Most groups whose view overlap is computed per chunk (or twice as many as are retrieved); see `nearest_groups`."""

MAX_SEARCHED = 1024
"""Most recent groups (or latents) among which a search looks, at most."""

MICRO_BATCH = 64
"""Requests searched together, so that RAM does not grow with the batch."""

MAX_QUERIES = 4
"""Most poses of the coming chunk that are compared; evenly spaced if the chunk has more."""


@dataclass(frozen=True)
class RetrievalRequest:
    """Request of one episode.

    Attributes:
        track: poses so far.
        next_poses: [n, 4, 4], poses of the chunk to make.
        before: latent index at which the recent window begins; only latents before it may be retrieved.
        bank: views of the scan in which the episode takes place; None without a scan.
    """

    track: PoseTrack
    next_poses: np.ndarray
    before: int
    bank: ViewBank | None = None


@dataclass(frozen=True)
class RetrievalChoice:
    """Choice of a policy for one request.

    Attributes:
        memory: latent indices to retrieve, increasing.
        similarity: how well the history shows the coming views, in [0, 1]; each policy documents its measure.
        revisit: whether the coming views count as seen before.
        reason: why, as the beginning of a sentence.
        complete: whether ``memory`` is the whole history before the recent window.
        slots: see `ChunkPlan.slots`.
        views: see `ChunkPlan.views`.
    """

    memory: tuple[int, ...]
    similarity: float
    revisit: bool
    reason: str
    complete: bool = False
    slots: tuple[tuple[int, int], ...] = ()
    views: tuple[int, ...] = ()


class RetrievalPolicy(Protocol):
    """Policy that chooses old latents for a batch of episodes."""

    def choose(self, requests: Sequence[RetrievalRequest]) -> list[RetrievalChoice]:
        """Choose at most `memory_latents` latents per request, all before its window."""
        ...


def view_centres(poses: np.ndarray, view_distance: float) -> np.ndarray:
    """Return the points [..., 3] half the view distance in front of cameras [..., 4, 4]."""
    return poses[..., :3, 3] + 0.5 * view_distance * poses[..., :3, 2]


def queries_of(next_poses: np.ndarray) -> np.ndarray:
    """Return at most `MAX_QUERIES` of the poses [..., n, 4, 4], evenly spaced."""
    count = next_poses.shape[-3]
    if count <= MAX_QUERIES:
        return next_poses
    return next_poses[..., np.linspace(0, count - 1, MAX_QUERIES).round().astype(int), :, :]
