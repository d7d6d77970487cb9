from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.accel.geometry.frustum import FrustumSampler
from li_env.accel.pose_track import PoseTrack
from li_env.accel.retrieval import candidates
from li_env.accel.retrieval.base import MAX_CANDIDATES, RetrievalRequest
from li_env.accel.retrieval.candidates import nearest_groups
from li_env.accel.retrieval.nearest_view import NearestView
from tests.analytic_world import SPEC


def wander(latents: int, seed: int, size: float = 6.0) -> np.ndarray:
    """A random walk that stays near the start, so that it keeps coming back to old places."""
    generator = np.random.default_rng(seed)
    pose, poses = np.eye(4), []
    for _ in range(latents):
        home = np.linalg.norm(pose[:3, 3]) > size and pose[:3, 2] @ pose[:3, 3] > 0
        motion = CameraMotion(yaw=90.0) if home else CameraMotion(yaw=generator.choice([-15, 0, 15]), forward=0.75)
        pose = follow(pose, [motion])[0]
        poses.append(pose)
    return np.stack(poses)


def request(poses: np.ndarray, length: int, window: int = 12) -> RetrievalRequest:
    return RetrievalRequest(PoseTrack(poses[:length]), poses[length : length + 4], before=max(0, length - window))


def policy(**changes: Any) -> NearestView:
    spec = replace(SPEC, **changes)
    return NearestView(spec, FrustumSampler(spec.fov, spec.view_distance))


def test_short_history_keeps_all_whole_groups_before_the_window() -> None:
    poses = wander(60, 0)
    assert nearest_groups(request(poses, 30), 4, 8.0).tolist() == [0, 1, 2, 3]  # latents 0..17: 16 is half a group
    assert nearest_groups(request(poses, 12), 4, 8.0).tolist() == []
    assert nearest_groups(request(poses, 0), 4, 8.0).tolist() == []


def test_long_history_is_bounded_and_keeps_what_overlaps() -> None:
    """The bounded search must find nearly the best group that a search through everything finds."""
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


def test_search_is_limited_to_the_most_recent_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "MAX_SEARCHED", 50)
    found = nearest_groups(request(wander(1204, 3), 1200), 4, 8.0)
    assert len(found) == MAX_CANDIDATES
    assert found.min() >= 297 - 50


def test_of_equal_places_the_oldest_come_first() -> None:
    """Turning on the spot: every revolution passes the same 24 poses; the older look is the better source."""
    poses = follow(np.eye(4), [CameraMotion(yaw=15)] * 2000)
    asked = request(poses, 24 * 60)
    found = nearest_groups(asked, 4, 8.0)
    assert found.max() < 6 * 6 * 6  # 6 groups a revolution; what is alike was seen dozens of times later as well
    choice = policy().choose([asked])[0]
    assert choice.memory[:4] == (0, 1, 2, 3)
    assert choice.memory[4:] == (24, 25, 26, 27)


def test_start_group_is_kept_only_beside_another() -> None:
    poses = wander(204, 5)
    two = policy(context_latents=20, temporal_latents=12).choose([request(poses, 200)])[0].memory
    assert two[:4] == (0, 1, 2, 3)
    assert len(two) == 8
    home = np.concatenate([poses[:200], poses[100:104]])  # goes back to where latents 100..103 were made
    one = policy(context_latents=8, temporal_latents=4).choose([request(home, 200, 4)])[0]
    assert one.memory == (100, 101, 102, 103)
    assert one.similarity > 0.75


def test_no_room_for_memory() -> None:
    choice = policy(context_latents=12, temporal_latents=12).choose([request(wander(104, 5), 100)])[0]
    assert choice.memory == ()
    assert choice.similarity > 0


def test_groups_of_one_latent() -> None:
    poses = wander(204, 6)
    choice = policy(memory_group=1).choose([request(np.concatenate([poses[:200], poses[50:54]]), 200)])[0]
    assert len(choice.memory) == 8
    assert {0, 50, 51} <= set(choice.memory)


def test_a_large_memory_is_filled() -> None:
    choice = policy(context_latents=212, temporal_latents=12).choose([request(wander(404, 7), 400)])[0]
    assert len(choice.memory) == 200


def test_worlds_of_a_batch_do_not_mix() -> None:
    requests = [request(wander(304, seed), length) for seed, length in enumerate((0, 4, 16, 24, 200, 28, 300, 204))]
    together = policy().choose(requests)
    assert together == [policy().choose([asked])[0] for asked in requests]
    assert len(set(together)) > 4
