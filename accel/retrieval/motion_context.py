"""Motion context: latents that show where a motion goes, by which a world says how far the motion can go."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from li_env.accel.geometry.camera import follow_many, inverse
from li_env.accel.geometry.looks import LookSampler
from li_env.accel.pose_track import PoseTrack
from li_env.accel.retrieval.base import MAX_SEARCHED, view_centres
from li_env.accel.retrieval.scan_candidates import gather
from li_env.accel.view_bank import ViewBank
from li_env.accel.world_spec import WorldSpec

COUNT = 4
"""Number of recent latents, and most retrieved latents."""

TOGETHER = 128
"""Episodes compared at a time: their tables stay in the processor's cache."""


def motion_context(track: PoseTrack, pose: np.ndarray, arrival: np.ndarray, view_distance: float) -> tuple[int, ...]:
    """Choose the latents that show where a motion goes: older latents that look there, then the most recent latents.

    Args:
        track: poses of the episode so far.
        pose: [4, 4], the camera now.
        arrival: [4, 4], the camera where the motion would end.
        view_distance: `WorldSpec.view_distance`.

    Returns:
        At most eight indices, increasing; none at the start of an episode.
    """
    return motion_contexts([track], pose[None], arrival[None], view_distance)[0]


def motion_contexts(
    tracks: Sequence[PoseTrack], poses: np.ndarray, arrivals: np.ndarray, view_distance: float
) -> list[tuple[int, ...]]:
    """Call `motion_context` for B episodes at once: ``poses`` and ``arrivals`` [B, 4, 4]."""
    lengths = [len(track) for track in tracks]
    ends = [max(0, length - COUNT) for length in lengths]
    starts = [max(0, end - MAX_SEARCHED) for end in ends]
    near = _nearest(tracks, starts, ends, poses, arrivals, view_distance)
    return [(*row, *range(end, length)) for row, end, length in zip(near, ends, lengths, strict=True)]


def _nearest(
    tracks: Sequence[PoseTrack],
    starts: Sequence[int],
    ends: Sequence[int],
    poses: np.ndarray,
    arrivals: np.ndarray,
    distance: float,
) -> list[list[int]]:
    """Choose `COUNT` latents of each track, between start and end, that look nearest to where the motion goes."""
    few = [list(range(start, end)) for start, end in zip(starts, ends, strict=True)]
    many = [index for index, row in enumerate(few) if len(row) > COUNT]
    if not many:
        return few
    looks = view_centres(_turned(poses[many], arrivals[many], distance), distance)
    views = np.full((len(many), max(len(few[index]) for index in many), 3, 2), np.inf)  # direction, position
    for row, index in enumerate(many):
        views[row, : len(few[index])] = tracks[index].poses[starts[index] : ends[index], :3, 2:]
    away = views[..., 1] + 0.5 * distance * views[..., 0] - looks[:, None]
    squares = np.einsum("bgi,bgi->bg", away, away)
    picks = []
    for _ in range(COUNT):  # ties go to the oldest latent
        picks.append(squares.argmin(axis=1))
        squares[np.arange(len(many)), picks[-1]] = np.inf
    for index, chosen in zip(many, np.sort(np.stack(picks, axis=1), axis=1).tolist(), strict=True):
        few[index] = [starts[index] + offset for offset in chosen]
    return few


def scanned_motion_contexts(
    tracks: Sequence[PoseTrack],
    banks: Sequence[ViewBank],
    poses: np.ndarray,
    arrivals: np.ndarray,
    spec: WorldSpec,
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Choose the motion context of episodes with scans: (views, latents of the episode) of each.

    Views of the scan and older latents compete for the places before the most recent latents: those that see most of
    where the motion goes, near cameras first. A motion head is trained with the same choice
    (`li_env.worlds.freedoom.training.motion`).

    Args:
        tracks: poses of the B episodes so far.
        banks: views of their scans.
        poses: [B, 4, 4], the cameras now.
        arrivals: [B, 4, 4], the cameras where the motions would end.
        spec: the world's constants.
    """
    looks = _turned(poses, arrivals, spec.view_distance)
    lengths = [len(track) for track in tracks]
    ends = [max(0, length - COUNT) for length in lengths]
    sampler = LookSampler(spec.focal, spec.view_distance)
    chosen: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for start in range(0, len(tracks), TOGETHER):
        part = slice(start, start + TOGETHER)
        queries = looks[part, None]
        found = gather(tracks[part], ends[part], banks[part], queries, queries, spec.view_distance)
        shares = sampler.overlaps(queries, found.candidates)
        chosen += found.split(_largest(found.candidates.table(shares, -1.0), COUNT))
    recent = zip(chosen, ends, lengths, strict=True)
    return [(views, (*sorted(old), *range(end, length))) for (views, old), end, length in recent]


def _largest(table: np.ndarray, count: int) -> np.ndarray:
    """Return the columns [B, count] of the largest values that are not negative, -1 for none; overwrites ``table``."""
    columns = np.full((len(table), count), -1)
    rows = np.arange(len(table))
    for turn in range(min(count, table.shape[1])):
        best = table.argmax(axis=1)  # ties go to the first: to the scan, then to the oldest latent
        columns[:, turn] = np.where(table[rows, best] >= 0, best, -1)
        table[rows, best] = -1.0
    return columns


def _turned(poses: np.ndarray, arrivals: np.ndarray, distance: float) -> np.ndarray:
    """Turn cameras [B, 4, 4] to where their motions go.

    A camera that walks backwards or sideways needs views behind or beside it. If the motion ends where it began, up to
    rounding, the camera needs views ahead.
    """
    shift = (inverse(poses) @ arrivals)[:, :3, 3]
    walks = np.hypot(shift[:, 0], shift[:, 2]) > 1e-6 * distance
    turn = np.zeros((len(poses), 1, 4))
    turn[walks, 0, 0] = np.degrees(np.arctan2(shift[walks, 0], shift[walks, 2]))
    return follow_many(poses, turn)[:, 0]
