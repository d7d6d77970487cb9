from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.accel.geometry.frustum import FrustumSampler
from li_env.accel.retrieval.candidates import nearest_groups
from li_env.accel.retrieval.nearest_view import NearestView
from tests.accel.walks import request, wander
from tests.analytic_world import SPEC


def policy(**changes: Any) -> NearestView:
    spec = replace(SPEC, **changes)
    return NearestView(spec, FrustumSampler(spec.fov, spec.view_distance))


def test_ties_go_to_the_oldest_group() -> None:
    """Turn on the spot: every revolution passes the same 24 poses, and the older view is the better source."""
    poses = follow(np.eye(4), [CameraMotion(yaw=15)] * 2000)
    asked = request(poses, 24 * 60)
    found = nearest_groups(asked, 4, 8.0)
    assert found.max() < 6 * 6 * 6  # 6 groups a revolution; later revolutions show the same
    choice = policy().choose([asked])[0]
    assert choice.memory[:4] == (0, 1, 2, 3)
    assert choice.memory[4:] == (24, 25, 26, 27)


def test_start_group_is_kept_only_beside_another() -> None:
    poses = wander(204, 5)
    two = policy(context_latents=20, temporal_latents=12).choose([request(poses, 200)])[0].memory
    assert two[:4] == (0, 1, 2, 3)
    assert len(two) == 8
    home = np.concatenate([poses[:200], poses[100:104]])  # returns to the poses of latents 100..103
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


def test_episodes_of_a_batch_do_not_mix() -> None:
    requests = [request(wander(304, seed), length) for seed, length in enumerate((0, 4, 16, 24, 200, 28, 300, 204))]
    together = policy().choose(requests)
    assert together == [policy().choose([asked])[0] for asked in requests]
    assert len(set(together)) > 4
