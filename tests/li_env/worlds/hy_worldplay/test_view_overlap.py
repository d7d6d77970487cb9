"""View overlap of HY-WorldPlay against the original's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from li_env.accel.geometry.camera import MotionLimits, follow, inverse
from li_env.accel.geometry.trajectory import parse_trajectory
from li_env.worlds.hy_worldplay.view_overlap import BallOverlap, ball_overlap, ball_points
from tests.oracle import load_oracle

HY = MotionLimits(translation=0.08, rotation=3.0, pitch=True)


def oracle_track(text: str) -> np.ndarray:
    return np.concatenate([np.eye(4)[None], follow(np.eye(4), parse_trajectory(text, HY))])


def test_ball_points_match_oracle() -> None:
    description, tensors = load_oracle("hy_worldplay_tiny")
    expected = tensors[description["fov_similarity"]["points"]]
    points = ball_points(len(expected), seed=description["spec"]["points_seed"])
    np.testing.assert_allclose(points, expected, atol=2e-6)


def test_ball_overlap_matches_oracle() -> None:
    description, tensors = load_oracle("hy_worldplay_tiny")
    points, pairs = tensors[description["fov_similarity"]["points"]], description["fov_similarity"]["pairs"]
    assert pairs
    for pair in pairs:
        track = oracle_track(pair["pose"])
        current, candidate = track[pair["curr"]][None], track[pair["hist"]][None]
        share = ball_overlap(current, candidate, points, fov=tuple(pair["fov"]))
        assert share.shape == (1, 1)
        assert share[0, 0] == pytest.approx(pair["similarity"], abs=1e-7)
        assert BallOverlap(points, tuple(pair["fov"])).overlap(current, candidate)[0, 0] == share[0, 0]


def test_ball_overlap_batches_and_survives_an_empty_view() -> None:
    track = oracle_track("w-4, right-6")
    overlap = BallOverlap(ball_points(2000, seed=0))
    together = overlap.overlap(np.stack([track[:2], inverse(track[:2])]), np.stack([track[2:], track[2:]]))
    assert together.shape == (2, 2, 9)
    np.testing.assert_array_equal(together[0], overlap.overlap(track[:2], track[2:]))
    behind = np.array([[0.0, 0.0, -1.0]])
    np.testing.assert_array_equal(ball_overlap(track[:2], track[2:], behind), np.zeros((2, 9)))
    with pytest.raises(ValueError, match=r"^points: "):
        BallOverlap(np.zeros((3, 2)))
