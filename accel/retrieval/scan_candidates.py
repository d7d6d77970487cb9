"""Candidates of episodes with scans: views of the scan and latents of the own past, for a batch of episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from li_env.accel.geometry.looks import Candidates
from li_env.accel.geometry.view_index import near_views
from li_env.accel.retrieval.base import RetrievalRequest
from li_env.accel.retrieval.candidates import nearest_in

PAST = 16
"""Most latents of the episode's own past that are compared with the views of the scan."""


@dataclass(frozen=True)
class ScanCandidates:
    """Views of scans and old latents of B episodes; every episode's views stand before its old latents.

    Attributes:
        candidates: their cameras.
        indices: [N], number of the view or of the latent.
        real: bool [N], whether it is a view of the scan.
    """

    candidates: Candidates
    indices: np.ndarray
    real: np.ndarray

    def split(self, picks: np.ndarray) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Return (views, latents) of every episode by columns [B, k] of its candidates, -1 for none."""
        counts = self.candidates.counts
        flat = np.where(picks >= 0, picks + (np.cumsum(counts) - counts)[:, None], 0)
        # Views are numbers from 0 up, latents negative ones from -1 down.
        codes = np.where(self.real, self.indices, -1 - self.indices)[flat]
        rows = zip(codes.tolist(), (picks >= 0).sum(axis=1).tolist(), strict=True)
        return [
            (tuple([code for code in row[:count] if code >= 0]), tuple([-1 - code for code in row[:count] if code < 0]))
            for row, count in rows
        ]


def gather(
    requests: Sequence[RetrievalRequest],
    next_poses: np.ndarray,
    cameras: np.ndarray,
    view_distance: float,
    first: int = 0,
) -> ScanCandidates:
    """Gather the views of scans near some cameras, and the latents nearest to the coming poses.

    Args:
        requests: of B episodes with scans.
        next_poses: [B, n, 4, 4], their coming poses.
        cameras: [B, q, 4, 4], by which views are found.
        view_distance: `WorldSpec.view_distance`.
        first: latents before this one are left out.
    """
    banks = [request.bank for request in requests if request.bank is not None]
    tracks, befores = [request.track for request in requests], [request.before for request in requests]
    past = nearest_in(tracks, befores, next_poses, 1, view_distance, PAST)
    if first:
        past = [latents[latents >= first] for latents in past]
    episodes, views = near_views([bank.index for bank in banks], cameras)
    ends = np.searchsorted(episodes, np.arange(1, len(banks) + 1)).tolist()
    poses, indices, start = [], [], 0
    for bank, track, end, old in zip(banks, tracks, ends, past, strict=True):
        own, start = views[start:end], end
        indices += (own, old)
        poses += (bank.poses.take(own, axis=0), track.poses.take(old, axis=0))
    lengths = np.array([len(each) for each in indices])
    real = np.repeat(np.arange(len(indices)) % 2 == 0, lengths)
    candidates = Candidates(lengths.reshape(-1, 2).sum(axis=1), np.concatenate(poses))
    return ScanCandidates(candidates, np.concatenate(indices), real)
