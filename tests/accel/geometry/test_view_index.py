"""The index finds the views that help without looking at all of them."""

from __future__ import annotations

import time

import numpy as np
import pytest

from li_env.accel.geometry.looks import Candidates, LookSampler, choose_views
from li_env.accel.geometry.view_index import FEW, NEAR, ViewIndex, near_views
from li_env.worlds.freedoom.geometry import FOCAL
from tests.accel.level import level, spots, walks

SAMPLER = LookSampler(FOCAL, 12.0)


def cameras(planar: np.ndarray) -> np.ndarray:
    return level(*np.moveaxis(planar, -1, 0))


def worth(query: np.ndarray, poses: np.ndarray) -> float:
    """Mean best look that eight of the views give."""
    candidates = Candidates(np.array([len(poses)]), poses)
    looks = SAMPLER.looks(query[None], candidates)
    return float(choose_views(looks, SAMPLER.closeness(looks.offsets), candidates, 8)[1].mean())


def test_few_views_are_all_listed() -> None:
    index = ViewIndex(cameras(spots(FEW, 60.0)), 12.0)
    np.testing.assert_array_equal(index.near(cameras(walks(1, 60.0)[0])), np.arange(FEW))


@pytest.mark.parametrize(("count", "side"), [(500, 20.0), (1000, 12.0), (4096, 40.0), (4096, 12.0)])
def test_the_listed_views_show_nearly_as_much_as_all(count: int, side: float) -> None:
    poses = cameras(spots(count, side))
    index = ViewIndex(poses, 12.0)
    shares = []
    for query in cameras(walks(24, side)):
        near = index.near(query)
        assert len(near) <= 2 * NEAR and (np.diff(near) > 0).all()
        shares.append(worth(query, poses[near]) / worth(query, poses))
    assert np.mean(shares) > 0.99 and min(shares) > 0.94


def test_a_list_does_not_depend_on_earlier_questions() -> None:
    poses, queries = cameras(spots(600, 10.0)), cameras(walks(20, 10.0))
    used = ViewIndex(poses, 12.0)
    for query in queries:
        used.near(query)
    for query in queries:
        np.testing.assert_array_equal(used.near(query), ViewIndex(poses, 12.0).near(query))


def test_time_does_not_grow_with_the_scan() -> None:
    queries = cameras(walks(50, 20.0))

    def seconds(count: int) -> float:
        index = ViewIndex(cameras(spots(count, 20.0)), 12.0)
        best = np.inf
        for _ in range(5):
            began = time.perf_counter()
            for query in queries:
                index.near(query)
            best = min(best, time.perf_counter() - began)
        return best

    assert seconds(4096) < 5 * seconds(65)


def test_many_cameras_find_what_each_finds() -> None:
    scans = [cameras(spots(count, 30.0)) for count in (1000, 40, 300, 66)]
    indices = [ViewIndex(scans[row % 4], 12.0) for row in range(20)]
    queries = cameras(walks(20, 30.0))
    queries[3, 1] = queries[3, 0]
    episodes, views = near_views(indices, queries)
    assert (np.diff(episodes) >= 0).all()
    for row, own in enumerate(queries):
        alone = ViewIndex(scans[row % 4], 12.0)
        near = views[episodes == row]
        np.testing.assert_array_equal(near, alone.near(own))
        np.testing.assert_array_equal(near, np.union1d(alone.near(own[:1]), alone.near(own[1:])))


def test_few_similar_views_are_filled_up_with_the_nearest_others() -> None:
    ahead, behind = level(*np.zeros((3, 10))), level(np.linspace(0.0, 9.0, 90), np.zeros(90), np.full(90, np.pi))
    index = ViewIndex(np.concatenate([ahead, behind]), 12.0)
    np.testing.assert_array_equal(index.near(np.eye(4)[None]), np.arange(NEAR))
