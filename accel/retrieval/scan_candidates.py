"""Candidates of episodes with scans: views of the scan and latents of the own past, for a batch of episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from li_env.accel.geometry.looks import Candidates
from li_env.accel.geometry.view_index import near_views
from li_env.accel.pose_track import PoseTrack
from li_env.accel.retrieval.candidates import nearest_in
from li_env.accel.view_bank import ViewBank

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
    tracks: Sequence[PoseTrack],
    befores: Sequence[int],
    banks: Sequence[ViewBank],
    next_poses: np.ndarray,
    cameras: np.ndarray,
    view_distance: float,
    first: int = 0,
) -> ScanCandidates:
    """Gather the views of scans near some cameras, and the latents nearest to the coming poses.

    Args:
        tracks: poses of B episodes so far.
        befores: latents from this one on are left out, of each episode.
        banks: views of their scans.
        next_poses: [B, n, 4, 4], their coming poses.
        cameras: [B, q, 4, 4], by which views are found.
        view_distance: `WorldSpec.view_distance`.
        first: latents before this one are left out, too.
    """
    past = nearest_in(tracks, befores, next_poses, 1, view_distance, PAST)
    if first:
        past = [latents[latents >= first] for latents in past]
    episodes, views = near_views([bank.index for bank in banks], cameras)
    ends = np.searchsorted(episodes, np.arange(1, len(banks) + 1)).tolist()
    shown = [views[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    indices = [each for pair in zip(shown, past, strict=True) for each in pair]
    poses: list[np.ndarray] = []
    for bank, track, own, old in zip(banks, tracks, shown, past, strict=True):
        poses += (bank.poses.take(own, axis=0), track.poses_at(old))
    lengths = np.array([len(each) for each in indices])
    real = np.repeat(np.arange(len(indices)) % 2 == 0, lengths)
    candidates = Candidates(lengths.reshape(-1, 2).sum(axis=1), np.concatenate(poses))
    return ScanCandidates(candidates, np.concatenate(indices), real)
