from __future__ import annotations

import numpy as np
import pytest

from li_env.accel.pose_track import PoseTrack


def numbered(start: int, count: int) -> np.ndarray:
    """Make stub poses, each filled with its number."""
    return np.arange(start, start + count, dtype=np.float64)[:, None, None] + np.zeros((4, 4))


def test_track_appends_without_touching_the_older_value() -> None:
    empty = PoseTrack()
    three = empty.append(numbered(0, 3))
    five = three.append(numbered(3, 2))
    assert (len(empty), len(three), len(five)) == (0, 3, 5)
    np.testing.assert_array_equal(five.poses, numbered(0, 5))
    np.testing.assert_array_equal(three.poses, numbered(0, 3))


def test_track_keeps_compact_rays_for_searches() -> None:
    poses = np.random.default_rng(0).normal(size=(40, 4, 4))
    track = PoseTrack(poses[:3])
    fork = track.append(poses[5:6])
    for start in range(3, 40, 4):
        track = track.append(poses[start : start + 4])
    np.testing.assert_array_equal(track.rays(0, 40), np.concatenate([poses[:, :3, 2].T, poses[:, :3, 3].T]))
    np.testing.assert_array_equal(track.rays(2, 40, 4), track.rays(0, 40)[:, 2::4])
    np.testing.assert_array_equal(fork.rays(3, 4)[3:, 0], poses[5, :3, 3])
    with pytest.raises(ValueError, match=r"read-only"):
        track.rays(0, 40)[0] = 0


def test_track_views_cannot_be_written() -> None:
    with pytest.raises(ValueError, match=r"read-only"):
        PoseTrack(numbered(0, 2)).poses[0] = 0


def test_track_shares_until_forks_differ() -> None:
    base = PoseTrack(numbered(0, 3))
    first, second = base.append(numbered(10, 1)), base.append(numbered(20, 1))
    assert np.shares_memory(base.poses, first.poses)
    assert not np.shares_memory(base.poses, second.poses)
    np.testing.assert_array_equal(first.poses[3], numbered(10, 1)[0])
    np.testing.assert_array_equal(second.poses[3], numbered(20, 1)[0])


def test_track_growth_is_amortised() -> None:
    track, buffers = PoseTrack(), set()
    for index in range(1000):
        track = track.append(numbered(4 * index, 4))
        buffers.add(id(track._buffer))
    assert len(track) == 4000
    assert len(buffers) <= 12  # doublings, not one copy per append
    np.testing.assert_array_equal(track.poses, numbered(0, 4000))


def test_track_rejects_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"^poses: shape \(4, 4\)"):
        PoseTrack().append(np.eye(4))
