"""Candidates: the few old keyframe groups whose views are compared, for a batch of episodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from li_env.accel.grouping import equal_groups
from li_env.accel.pose_track import PoseTrack
from li_env.accel.retrieval.base import (
    MAX_CANDIDATES,
    MAX_SEARCHED,
    MICRO_BATCH,
    RetrievalRequest,
    queries_of,
    view_centres,
)
from li_env.accel.world_spec import WorldSpec

PER_QUERY = 4
"""Groups listed for the first, the middle and the last coming view, each."""

MOST = 3 * PER_QUERY
"""Most groups in all; that many are listed without a search."""

_INDEX_BITS = 10
_LEVELS = 1 << (31 - _INDEX_BITS)
"""Steps into which distances are rounded; the lower bits of an integer key hold the group's number."""

_FAR = 1e9

_NUMBERS = np.arange(MAX_SEARCHED)
_NUMBERS.flags.writeable = False

assert MAX_SEARCHED <= 1 << _INDEX_BITS


def shortlist(requests: Sequence[RetrievalRequest], queries: np.ndarray, spec: WorldSpec) -> np.ndarray:
    """List the groups of each episode that are nearest to its coming views.

    The search covers the latest `MAX_SEARCHED` groups that lie wholly before a request's ``before``. The centre of a
    view lies half the view distance in front of the camera. Groups are listed if their centre is nearest to that of the
    first, the middle or the last query. Ties (to a thousandth of the view distance) go to the oldest group. Near
    centres mean near positions and similar directions, so the views that overlap most are kept.

    Args:
        requests: one per episode, B of them.
        queries: [B, q, 4, 4], coming poses.
        spec: the world's constants.

    Returns:
        numbers of groups [B, `MOST`], increasing in each row, -1 in front where an episode has fewer.
    """
    size, distance = spec.memory_group, spec.view_distance
    ends = np.array([request.before // size for request in requests])
    starts = np.maximum(0, ends - MAX_SEARCHED)
    counts = ends - starts
    result = np.maximum(-1, np.arange(MOST) + (counts - MOST)[:, None])
    many = np.flatnonzero(counts > MOST)
    if len(many):
        # Direction of view and position of the middle frame of each group; unfilled columns are never chosen.
        middle = np.full((2, 3, len(many), int(counts.max())), _FAR, dtype=np.float32)
        for row, index in enumerate(many.tolist()):
            first, end = int(starts[index]) * size + size // 2, int(ends[index]) * size
            middle[:, :, row, : counts[index]] = requests[index].track.rays(first, end, size).reshape(2, 3, -1)
        wanted = view_centres(queries[many], distance).astype(np.float32)  # [m, q, 3]
        centres = middle[1] + np.float32(0.5 * distance) * middle[0]  # [3, m, n]
        near = [_nearest(centres, wanted[:, query], distance) for query in (0, queries.shape[1] // 2, -1)]
        columns = np.sort(np.concatenate(near, axis=1), axis=1) + starts[many, None]
        columns[:, 1:][columns[:, 1:] == columns[:, :-1]] = -1
        result[many] = np.sort(columns, axis=1)
    return result


def _nearest(centres: np.ndarray, point: np.ndarray, distance: float) -> np.ndarray:
    """Return columns [B, `PER_QUERY`] of the centres [3, B, n] nearest to ``point`` [B, 3]; ties go to the first."""
    # Elementwise, not as a matrix product, whose rounding would depend on the size of the batch.
    squares = np.zeros_like(centres[0])
    for axis, centre in enumerate(centres):
        away = centre - point[:, axis, None]
        away *= away
        squares += away
    # All distances beyond twice the view distance are equal.
    squares *= np.float32((_LEVELS - 1) / (2 * distance) ** 2)
    np.minimum(squares, np.float32(_LEVELS - 2), out=squares)
    keys = squares.astype(np.int32)
    keys <<= _INDEX_BITS
    keys |= np.arange(keys.shape[1], dtype=np.int32)
    # No two keys are equal, so the choice does not depend on how the partition works.
    return np.partition(keys, PER_QUERY - 1, axis=1)[:, :PER_QUERY] & ((1 << _INDEX_BITS) - 1)


def nearest_groups(
    request: RetrievalRequest, size: int, view_distance: float, count: int = MAX_CANDIDATES
) -> np.ndarray:
    """Return the indices, increasing, of the groups whose views are compared: at most ``count``.

    The search covers the latest `MAX_SEARCHED` groups of ``size`` latents that lie wholly before ``request.before``.
    The centre of a view lies half the view distance in front of the camera. Groups are chosen if their centre is
    nearest to that of a coming pose. Near centres mean near positions and similar directions, so the views that overlap
    most are kept at the cost of one subtraction per group.
    """
    return nearest_groups_of([request], size, view_distance, count)[0]


def nearest_groups_of(
    requests: Sequence[RetrievalRequest], size: int, view_distance: float, count: int = MAX_CANDIDATES
) -> list[np.ndarray]:
    """Call `nearest_groups` for many requests."""
    found: list[np.ndarray] = [np.empty(0, dtype=int)] * len(requests)
    for rows in equal_groups([len(request.next_poses) for request in requests]):
        own = [requests[row] for row in rows]
        poses = np.stack([request.next_poses for request in own])
        tracks, befores = [request.track for request in own], [request.before for request in own]
        for row, groups in zip(rows, nearest_in(tracks, befores, poses, size, view_distance, count), strict=True):
            found[row] = groups
    return found


def nearest_in(
    tracks: Sequence[PoseTrack],
    befores: Sequence[int],
    next_poses: np.ndarray,
    size: int,
    view_distance: float,
    count: int,
) -> list[np.ndarray]:
    """Call `nearest_groups` for B episodes whose coming poses are one array [B, n, 4, 4]."""
    ends = [before // size for before in befores]
    spans = [(end - MAX_SEARCHED if end > MAX_SEARCHED else 0, end) for end in ends]
    found = [_NUMBERS[: end - start] for start, end in spans]
    many = [row for row, (start, end) in enumerate(spans) if end - start > count]
    for first in range(0, len(many), MICRO_BATCH):
        rows = many[first : first + MICRO_BATCH]
        wanted = view_centres(queries_of(next_poses[rows]), view_distance)
        own = [tracks[row] for row in rows], [spans[row] for row in rows]
        for row, columns in zip(rows, _nearest_columns(*own, wanted, size, view_distance, count), strict=True):
            found[row] = columns
    return [groups + start if start else groups for groups, (start, _) in zip(found, spans, strict=True)]


def _nearest_columns(
    tracks: Sequence[PoseTrack],
    spans: Sequence[tuple[int, int]],
    wanted: np.ndarray,
    size: int,
    view_distance: float,
    count: int,
) -> np.ndarray:
    """Return columns [B, ``count``], increasing, of the groups between each episode's bounds that are nearest.

    ``wanted`` [B, q, 3] are the centres of the coming views; every episode has more than ``count`` groups.
    """
    rays = np.full((len(tracks), 6, max(end - start for start, end in spans)), np.inf)  # direction, position
    for row, (track, (start, end)) in enumerate(zip(tracks, spans, strict=True)):
        rays[row, :, : end - start] = track.rays(start * size + size // 2, end * size, size)
    centres = rays[:, 3:] + 0.5 * view_distance * rays[:, :3]
    distance = np.full((len(tracks), rays.shape[2]), np.inf)
    for query in wanted.transpose(1, 0, 2)[..., None]:
        away = centres - query
        away *= away
        np.minimum(distance, away[:, 0] + away[:, 1] + away[:, 2], out=distance)
    # Rounded so that ties go to the oldest group.
    distance = distance.round(9)
    farthest = np.partition(distance, count - 1, axis=1)[:, count - 1 : count]
    nearer, ties = distance < farthest, distance == farthest
    chosen = nearer | (ties & (ties.cumsum(axis=1) <= count - nearer.sum(axis=1, keepdims=True)))
    return np.nonzero(chosen)[1].reshape(len(tracks), count)
