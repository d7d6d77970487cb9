from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.accel.geometry.frustum import FrustumSampler
from li_env.accel.pose_track import PoseTrack
from li_env.accel.retrieval import candidates
from li_env.accel.retrieval.base import MAX_CANDIDATES, RetrievalRequest
from li_env.accel.retrieval.candidates import MOST, PER_QUERY, nearest_groups, shortlist
from tests.accel.walks import request, wander
from tests.analytic_world import SPEC


def listed(*requests: RetrievalRequest) -> list[list[int]]:
    rows = shortlist(requests, np.stack([asked.next_poses for asked in requests]), SPEC)
    assert (rows[:, 1:] >= rows[:, :-1]).all()
    return [[group for group in row if group >= 0] for row in rows.tolist()]


def test_few_groups_are_all_listed() -> None:
    poses = wander(100, 0)
    assert listed(request(poses, 0)) == [[]]
    assert listed(request(poses, 15)) == [[]]  # three latents before the window: no whole group
    assert listed(request(poses, 16)) == [[0]]
    assert listed(request(poses, 60)) == [list(range(12))]


def test_episodes_of_a_batch_do_not_mix() -> None:
    requests = [request(wander(2004, seed), length) for seed, length in enumerate((0, 16, 60, 64, 300, 1200, 2000))]
    assert listed(*requests) == [listed(asked)[0] for asked in requests]


def test_nearest_to_the_first_and_the_last_view_by_brute_force() -> None:
    poses = wander(804, 1)
    asked = request(poses, 800)
    centre = poses[:, :3, 3] + 0.5 * SPEC.view_distance * poses[:, :3, 2]
    groups = np.arange(197)
    expected: set[int] = set()
    for query in (800, 802, 803):
        distance = np.linalg.norm(centre[groups * 4 + 2] - centre[query], axis=1)
        expected |= set(np.argsort(distance)[:PER_QUERY].tolist())
    [found] = listed(asked)
    # Distances are rounded to a thousandth of the view distance, so the last of the nearest may be another.
    assert len(expected ^ set(found)) <= 2
    assert PER_QUERY <= len(found) <= MOST


def test_the_best_group_of_a_long_history_is_listed() -> None:
    sampler = FrustumSampler(SPEC.fov, SPEC.view_distance, points=200)
    shortfalls = []
    for seed in range(12):
        poses = wander(1204, seed)
        asked = request(poses, 1200)
        everything = np.arange(297)[:, None] * 4 + (0, 3)
        seen = sampler.visible(asked.next_poses, poses[everything.reshape(-1)])  # [q, groups * 2, p]
        share = seen.reshape(4, 297, 2, -1).any(axis=2).mean(axis=(0, 2))
        shortfalls.append(share.max() - share[listed(asked)[0]].max())
    assert max(shortfalls) < 0.08
    assert np.mean(shortfalls) < 0.02


def test_ties_go_to_the_oldest_group() -> None:
    poses = follow(np.eye(4), [CameraMotion(yaw=15)] * 2000)  # six groups a revolution
    [found] = listed(request(poses, 24 * 60))
    assert found
    assert max(found) < 6 * 3 * PER_QUERY


def test_far_from_the_origin() -> None:
    poses = wander(404, 2)
    moved = poses.copy()
    moved[:, :3, 3] += (20_000.0, 0.0, -50_000.0)
    assert len(set(listed(request(poses, 400))[0]) ^ set(listed(request(moved, 400))[0])) <= 2


def test_search_is_limited_to_the_most_recent_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "MAX_SEARCHED", 50)
    [found] = listed(request(wander(1204, 3), 1200))
    assert min(found) >= 297 - 50


def test_other_group_sizes() -> None:
    poses = wander(404, 4)
    asked = RetrievalRequest(PoseTrack(poses[:400]), poses[400:403], before=395)
    for size in (1, 3, 7):
        rows = shortlist([asked], asked.next_poses[None], replace(SPEC, memory_group=size))
        assert 200 < (rows.max() + 1) * size <= 395


def test_nearest_groups_of_a_short_history_are_all_whole_groups() -> None:
    poses = wander(60, 0)
    assert nearest_groups(request(poses, 30), 4, 8.0).tolist() == [0, 1, 2, 3]  # latents 0..17: 16 is half a group
    assert nearest_groups(request(poses, 12), 4, 8.0).tolist() == []
    assert nearest_groups(request(poses, 0), 4, 8.0).tolist() == []


def test_nearest_groups_are_bounded_and_overlap_most() -> None:
    """Compare the bounded search with a search through all groups: both find nearly the same best group."""
    sampler = FrustumSampler(SPEC.fov, SPEC.view_distance)
    shortfalls = []
    for seed in range(10):
        poses = wander(1204, seed)
        asked = request(poses, 1200)
        found = nearest_groups(asked, 4, SPEC.view_distance)
        assert len(found) == MAX_CANDIDATES
        assert (np.diff(found) > 0).all()
        everything = np.arange(297)
        looked_at = poses[everything[:, None] * 4 + (0, 2)]
        similarity = sampler.overlap(asked.next_poses, looked_at.reshape(-1, 4, 4)).mean(0).reshape(-1, 2).mean(1)
        shortfalls.append(similarity.max() - similarity[found].max())
    assert max(shortfalls) < 0.05
    assert np.mean(shortfalls) < 0.01


def test_nearest_groups_are_among_the_most_recent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "MAX_SEARCHED", 50)
    found = nearest_groups(request(wander(1204, 3), 1200), 4, 8.0)
    assert len(found) == MAX_CANDIDATES
    assert found.min() >= 297 - 50
