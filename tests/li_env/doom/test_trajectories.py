import numpy as np
import pytest

from li_env.doom.collision import segment_distances
from li_env.doom.explorers import KINDS
from li_env.doom.maps import generate_map
from li_env.doom.renderer import renderable_poses
from li_env.doom.trajectories import DEFAULT_KINDS, choose_kinds, simulate, world_poses

MAPS = [generate_map(seed) for seed in range(4)]
WHICH = [i % 4 for i in range(28)]


def _simulate(seed=0):
    kinds = list(KINDS) * 4
    return simulate([m.space for m in MAPS], [m.segments for m in MAPS], WHICH, kinds, 48, np.random.default_rng(seed))


def test_shapes_and_determinism():
    walks, again, other = _simulate(), _simulate(), _simulate(1)
    assert walks.doom_poses.shape == (28, 48, 3) and walks.commanded.shape == walks.feasible.shape == (28, 47, 3)
    assert walks.commanded.dtype == np.float32 and [KINDS[k] for k in walks.kinds] == list(KINDS) * 4
    np.testing.assert_array_equal(walks.doom_poses, again.doom_poses)
    assert (walks.doom_poses != other.doom_poses).any()


def test_poses_are_renderable_and_clear_of_walls():
    walks = _simulate()
    np.testing.assert_allclose(renderable_poses(walks.doom_poses), walks.doom_poses, atol=1e-9)
    for m, poses in zip(WHICH, walks.doom_poses, strict=True):
        assert segment_distances(poses[:, None, :2], MAPS[m].segments[None])[1].min() > 16.0


def test_feasible_motion_integrates_to_the_poses_in_world_axes():
    walks = _simulate()
    poses = world_poses(walks.doom_poses).astype(float)
    here = poses[:, 0].copy()
    for step in range(47):
        yaw, right, forward = walks.feasible[:, step].astype(float).T
        here[:, 2] += yaw
        sine, cosine = np.sin(np.radians(here[:, 2])), np.cos(np.radians(here[:, 2]))
        # OpenCV axes: at yaw a the camera looks along (x, z) = (sin a, cos a) and its right is (cos a, -sin a)
        here[:, 0] += forward * sine + right * cosine
        here[:, 1] += forward * cosine - right * sine
        assert np.abs(here[:, :2] - poses[:, step + 1, :2]).max() < 0.03
        assert np.abs((here[:, 2] - poses[:, step + 1, 2] + 180) % 360 - 180).max() < 0.01


def test_free_motion_equals_the_command():
    walks = _simulate()
    free = np.abs(walks.commanded - walks.feasible).max(-1) < 1e-5
    assert 0.7 < free.mean() < 1.0
    np.testing.assert_array_equal(walks.commanded[..., 0], walks.feasible[..., 0])


def test_world_axes():
    # 32 map units east, 64 north, looking north: x is south, z is east, and north is a left turn from east
    np.testing.assert_allclose(world_poses(np.array([32.0, 64.0, 90.0])), [-2.0, 1.0, -90.0])
    np.testing.assert_allclose(world_poses(np.array([0.0, 0.0, 0.0])), [0.0, 0.0, 0.0])


def test_default_kinds_cover_everything():
    assert set(DEFAULT_KINDS) == set(KINDS) and sum(DEFAULT_KINDS.values()) == pytest.approx(1.0)
    assert set(choose_kinds(500, DEFAULT_KINDS, np.random.default_rng(0))) == set(KINDS)


@pytest.mark.parametrize("weights", [{"fly": 1.0}, {"walk": -1.0}, {"walk": float("nan")}, {"walk": 0.0}, {}])
def test_bad_weights(weights):
    with pytest.raises(ValueError, match=r"kinds_weights.*allowed"):
        choose_kinds(3, weights, np.random.default_rng(0))
