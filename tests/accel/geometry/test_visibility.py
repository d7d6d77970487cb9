from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from li_env.accel.geometry.camera import CameraMotion, follow, move
from li_env.accel.geometry.visibility import VisibilitySampler
from tests.accel.geometry.test_frustum import DISTANCE, FOV, poses


@settings(deadline=None, max_examples=25)
@given(current=poses, candidate=poses, angle=st.floats(5, 85))
def test_sees_what_is_visible_from_the_same_side(current: np.ndarray, candidate: np.ndarray, angle: float) -> None:
    sampler = VisibilitySampler(FOV, DISTANCE, points=60)
    views = np.stack([current, move(current, CameraMotion(yaw=20))])
    points, rays = sampler.deal_points(views)
    assert points.shape == rays.shape == (60, 3)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=-1), 1)
    eyes = np.repeat(views[:, :3, 3], 30, axis=0)
    np.testing.assert_allclose(np.cross(points - eyes, rays), 0, atol=1e-9)
    candidates = np.stack([candidate, current])
    seen = sampler.sees(candidates, points, rays, angle)
    assert seen.shape == (2, 60)
    assert seen.dtype == bool
    local = np.concatenate([points, np.ones((60, 1))], axis=1) @ np.linalg.inv(candidates).swapaxes(-1, -2)
    x, y, z, _ = np.moveaxis(local, -1, 0)
    slope_x, slope_y = np.tan(np.radians(np.array(FOV) / 2))
    margin = np.minimum.reduce([DISTANCE - z, slope_x * z - np.abs(x), slope_y * z - np.abs(y)])
    away = points - candidates[:, None, :3, 3]
    turned = angle - np.degrees(np.arccos(((away * rays).sum(-1) / np.linalg.norm(away, axis=-1)).clip(-1, 1)))
    sure = (np.abs(margin) > 0.01) & (np.abs(turned) > 0.5)
    np.testing.assert_array_equal(seen[sure], ((margin > 0) & (turned > 0))[sure])


def test_dealt_points_belong_to_all_views_equally() -> None:
    sampler = VisibilitySampler(FOV, DISTANCE, points=64)
    track = follow(np.eye(4), [CameraMotion(yaw=100)] * 3)
    points, rays = sampler.deal_points(np.stack([track, track]))
    assert points.shape == (2, 63, 3)
    np.testing.assert_array_equal(points[0], points[1])
    for index in range(3):
        own = sampler.sees(track[index : index + 1], points[0], rays[0], 30.0)[0]
        assert own[21 * index : 21 * index + 21].all()
        assert own.sum() < 35


def test_episodes_of_a_batch_do_not_mix() -> None:
    sampler = VisibilitySampler(FOV, DISTANCE, points=40)
    generator = np.random.default_rng(0)
    tracks = np.stack(
        [
            follow(np.eye(4), [CameraMotion(*row) for row in generator.normal(0, (20, 5, 0.3, 0.3), (104, 4))])
            for _ in range(7)
        ]
    )
    points, rays = sampler.deal_points(tracks[:, :4])
    together = sampler.sees(tracks[:, 4:], points, rays, 45.0)
    assert together.shape == (7, 100, 40)
    assert 0.02 < together.mean() < 0.9
    for row in range(7):
        np.testing.assert_array_equal(together[row], sampler.sees(tracks[row, 4:], points[row], rays[row], 45.0))


def test_the_plain_share_is_an_upper_bound() -> None:
    sampler = VisibilitySampler(FOV, DISTANCE, points=500)
    track = follow(np.eye(4), [CameraMotion(yaw=12, forward=1.5)] * 6)
    points, rays = sampler.deal_points(track[5:])
    shares = [sampler.sees(track[:5], points, rays, angle).mean(-1) for angle in (10.0, 30.0, 89.9)]
    assert (shares[0] <= shares[1]).all()
    assert (shares[1] <= shares[2]).all()
    assert shares[2] == pytest.approx(sampler.overlap(track[5:], track[:5])[0], abs=0.05)
