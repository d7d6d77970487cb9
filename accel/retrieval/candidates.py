"""The few old groups that are worth a closer look, for a batch of worlds at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from li_env.accel.retrieval.base import _BLOCK, MAX_CANDIDATES, MAX_SEARCHED, RetrievalRequest, queries_of, view_centres
from li_env.accel.world_spec import WorldSpec

PER_QUERY = 4
"""Groups nearest to the first, to the middle and to the last coming view, each."""

MOST = 3 * PER_QUERY
"""Groups in all; that many are listed without a search."""

_INDEX_BITS = 10
_LEVELS = 1 << (31 - _INDEX_BITS)
"""Distances are cut into so many steps; below them, an integer key carries the group's number."""

_FAR = 1e9

assert MAX_SEARCHED <= 1 << _INDEX_BITS


def shortlist(requests: Sequence[RetrievalRequest], queries: np.ndarray, spec: WorldSpec) -> np.ndarray:
    """Numbers of groups [worlds, `MOST`] to look at, increasing in each row, -1 in front where a world has fewer.

    Of the groups that lie wholly before a request's ``before`` (the latest `MAX_SEARCHED` of them), those whose centre
    of view, half the view distance in front of the camera, is nearest to that of the first, the middle or the last of
    the world's ``queries`` [worlds, q, 4, 4]. Of groups equally near (to a thousandth of the view distance) the oldest
    come first. Near centres mean near positions and like directions, so what overlaps most is kept.
    """
    size, distance = spec.memory_group, spec.view_distance
    ends = np.array([request.before // size for request in requests])
    starts = np.maximum(0, ends - MAX_SEARCHED)
    counts = ends - starts
    result = np.maximum(-1, np.arange(MOST) + (counts - MOST)[:, None])
    many = np.flatnonzero(counts > MOST)
    if len(many):
        # Direction of view and position of the middle frame of each group; places not filled are never chosen.
        middle = np.full((2, 3, len(many), int(counts.max())), _FAR, dtype=np.float32)
        for row, index in enumerate(many.tolist()):
            first, end = int(starts[index]) * size + size // 2, int(ends[index]) * size
            middle[:, :, row, : counts[index]] = requests[index].track.places[..., first:end:size]
        wanted = view_centres(queries[many], distance).astype(np.float32)  # [m, q, 3]
        centres = middle[1] + np.float32(0.5 * distance) * middle[0]  # [3, m, n]
        near = [_nearest(centres, wanted[:, query], distance) for query in (0, queries.shape[1] // 2, -1)]
        columns = np.sort(np.concatenate(near, axis=1), axis=1) + starts[many, None]
        columns[:, 1:][columns[:, 1:] == columns[:, :-1]] = -1
        result[many] = np.sort(columns, axis=1)
    return result


def _nearest(centres: np.ndarray, place: np.ndarray, distance: float) -> np.ndarray:
    """Columns [w, `PER_QUERY`] of the centres [3, w, n] nearest to ``place`` [w, 3]; of equals the first."""
    # Elementwise, not as a matrix product, whose rounding would depend on the size of the batch.
    squares = np.zeros_like(centres[0])
    for axis, centre in enumerate(centres):
        away = centre - place[:, axis, None]
        away *= away
        squares += away
    # Everything further than twice the view distance is equally far.
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
    """Indices (increasing) of the groups that are worth comparing: at most ``count``.

    Of the groups of ``size`` latents that lie wholly before ``request.before`` (the latest `MAX_SEARCHED` of them),
    those whose centre of view, half the view distance in front of the camera, is nearest to the centre of view
    of a coming pose. Near centres mean near positions and like directions, so this keeps what overlaps most at the
    price of one subtraction per group.
    """
    return nearest_groups_of([request], size, view_distance, count)[0]


def nearest_groups_of(
    requests: Sequence[RetrievalRequest], size: int, view_distance: float, count: int = MAX_CANDIDATES
) -> list[np.ndarray]:
    """`nearest_groups` for many worlds."""
    found, kinds = [], dict[int, list[int]]()
    for index, request in enumerate(requests):
        end = request.before // size
        found.append(np.arange(max(0, end - MAX_SEARCHED), end))
        if len(found[-1]) > count:
            kinds.setdefault(len(request.next_poses), []).append(index)
    for members in kinds.values():
        for start in range(0, len(members), _BLOCK):
            block = members[start : start + _BLOCK]
            near = _nearest_columns([requests[i] for i in block], [found[i] for i in block], size, view_distance, count)
            for index, columns in zip(block, near, strict=True):
                found[index] = found[index][columns]
    return found


def _nearest_columns(
    requests: Sequence[RetrievalRequest], groups: Sequence[np.ndarray], size: int, view_distance: float, count: int
) -> np.ndarray:
    """Columns [w, ``count``] of each world's ``groups``, increasing; every world has more than ``count``."""
    views = np.full((len(requests), max(map(len, groups)), 3, 2), np.inf)  # direction, position
    for row, (request, own) in enumerate(zip(requests, groups, strict=True)):
        middle = slice(own[0] * size + size // 2, own[-1] * size + size, size)
        views[row, : len(own)] = request.track.poses[middle, :3, 2:]
    wanted = view_centres(np.stack([queries_of(request.next_poses) for request in requests]), view_distance)
    away = wanted[:, :, None] - (views[..., 1] + 0.5 * view_distance * views[..., 0])[:, None]
    # Rounded: of equal places the oldest first.
    distance = np.einsum("wqgi,wqgi->wqg", away, away).min(axis=1).round(9)
    return np.sort(np.argsort(distance, axis=1, kind="stable")[:, :count], axis=1)
