from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from li_env.accel.geometry.camera import CameraMotion, follow, move
from li_env.accel.geometry.frustum import FrustumSampler

FOV, DISTANCE = (90.0, 64.0), 8.0

poses = st.builds(
    lambda yaw, pitch, right, forward: move(np.eye(4), CameraMotion(yaw, pitch, right, forward)),
    st.floats(-180, 180),
    st.floats(-60, 60),
    st.floats(-9, 9),
    st.floats(-9, 9),
)


def brute_force(current: np.ndarray, candidate: np.ndarray, count: int = 200_000) -> float:
    """Return the share of random points of the current frustum that lie in the candidate's, one condition at a time."""
    generator = np.random.default_rng(1)
    slope_x, slope_y = np.tan(np.radians(np.array(FOV) / 2))
    depth = generator.uniform(0, DISTANCE, count)
    x = generator.uniform(-slope_x, slope_x, count) * depth
    y = generator.uniform(-slope_y, slope_y, count) * depth
    world = np.stack([x, y, depth, np.ones(count)]).T @ current.T
    x, y, z, _ = (world @ np.linalg.inv(candidate).T).T
    return float(np.mean((z > 0) & (z < DISTANCE) & (np.abs(x) < slope_x * z) & (np.abs(y) < slope_y * z)))


def one(sampler: FrustumSampler, current: np.ndarray, candidate: np.ndarray) -> float:
    return float(sampler.overlap(current[None], candidate[None])[0, 0])


def test_same_and_opposite_view() -> None:
    sampler = FrustumSampler(FOV, DISTANCE)
    pose = move(np.eye(4), CameraMotion(yaw=33, right=2))
    assert one(sampler, pose, pose) == 1.0
    assert one(sampler, pose, move(pose, CameraMotion(yaw=180))) == 0.0


@pytest.mark.parametrize("back", [1.0, 3.0, 6.0, 9.0])
def test_a_view_further_back_loses_its_share_of_depth(back: float) -> None:
    sampler = FrustumSampler(FOV, DISTANCE, points=2000)
    share = one(sampler, np.eye(4), move(np.eye(4), CameraMotion(forward=-back)))
    assert share == pytest.approx(max(0.0, 1 - back / DISTANCE), abs=0.005)


# 64 points promise no worst case: the same examples every time, not a search for one.
@settings(deadline=None, max_examples=25, derandomize=True)
@given(current=poses, candidate=poses)
def test_matches_brute_force(current: np.ndarray, candidate: np.ndarray) -> None:
    truth = brute_force(current, candidate)
    assert one(FrustumSampler(FOV, DISTANCE), current, candidate) == pytest.approx(truth, abs=0.06)
    assert one(FrustumSampler(FOV, DISTANCE, points=8000), current, candidate) == pytest.approx(truth, abs=0.01)


def test_batch_equals_single_calls() -> None:
    sampler = FrustumSampler(FOV, DISTANCE)
    generator = np.random.default_rng(0)
    tracks = np.stack(
        [follow(np.eye(4), [CameraMotion(*row) for row in generator.normal(0, 20, (9, 4))]) for _ in "abc"]
    )
    together = sampler.overlap(tracks[:, :4], tracks[:, 4:])
    assert together.shape == (3, 4, 5)
    for row in range(3):
        for query in range(4):
            for candidate in range(5):
                alone = one(sampler, tracks[row, query], tracks[row, 4 + candidate])
                assert together[row, query, candidate] == alone


def test_seed_decides_the_points() -> None:
    current, candidate = np.eye(4), move(np.eye(4), CameraMotion(yaw=31, forward=1))
    shares = [one(FrustumSampler(FOV, DISTANCE, points=64, seed=seed), current, candidate) for seed in (0, 0, 1, 2, 3)]
    assert shares[0] == shares[1]
    assert len(set(shares)) > 1


def test_visible_averages_to_overlap() -> None:
    sampler = FrustumSampler(FOV, DISTANCE, points=50)
    track = follow(np.eye(4), [CameraMotion(yaw=20, forward=0.5)] * 6)
    visible = sampler.visible(track[:2], track[2:])
    assert visible.shape == (2, 4, 50)
    assert visible.dtype == bool
    np.testing.assert_array_equal(visible.mean(-1), sampler.overlap(track[:2], track[2:]))


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (((0.0, 60.0), 8.0), "fov"),
        (((90.0, 180.0), 8.0), "fov"),
        ((FOV, 0.0), "distance"),
        ((FOV, float("nan")), "distance"),
        ((FOV, 8.0, 0), "points"),
    ],
)
def test_bad_arguments(arguments: tuple[Any, ...], key: str) -> None:
    with pytest.raises(ValueError, match=f"^{key}: .* is not allowed"):
        FrustumSampler(*arguments)
