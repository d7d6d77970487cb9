"""Looks and the choice of views equal what the freedoom world is trained with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from li_env.accel.geometry.looks import WELL_SHOWN, LookSampler, choose_views
from li_env.worlds.freedoom.geometry import FOCAL
from li_env.worlds.freedoom.spec import SPEC
from li_env.worlds.freedoom.training import store, views
from tests.accel.level import level, spots, walks

SAMPLER = LookSampler(FOCAL, SPEC.view_distance)
BATCH = 8


def scene(count: int, side: float) -> tuple[np.ndarray, np.ndarray]:
    """Planar coming poses [B, 2, 3] and candidates [B, count, 3]."""
    return walks(BATCH, side), np.stack([spots(count, side, seed) for seed in range(BATCH)])


def cameras(planar: np.ndarray) -> np.ndarray:
    return level(*np.moveaxis(planar, -1, 0))


@pytest.mark.parametrize(("count", "side"), [(3, 3.0), (40, 9.0), (300, 20.0), (3000, 40.0)])
def test_the_choice_is_that_of_the_training(count: int, side: float) -> None:
    query, candidates = scene(count, side)
    wanted, given = torch.from_numpy(query).float(), torch.from_numpy(candidates).float()
    ratings = SAMPLER.looks(cameras(query), cameras(candidates))
    np.testing.assert_allclose(ratings, views.looks(wanted, given).numpy(), atol=1e-4)
    budget = min(8, count)
    expected = views.choose_views(wanted, given, torch.ones(1, count, dtype=torch.bool), budget)
    exists = np.ones((BATCH, count), dtype=bool)
    chosen, best = choose_views(ratings, SAMPLER.closeness(cameras(query), cameras(candidates)), exists, 8)
    np.testing.assert_array_equal(chosen, expected.numpy())
    np.testing.assert_array_equal(best, np.take_along_axis(ratings, chosen[..., None], axis=1).max(axis=1))


def test_the_motion_context_sees_what_the_training_sees() -> None:
    query, candidates = scene(300, 20.0)
    overlap = store.view_overlap(torch.from_numpy(query[:, :1]).float(), torch.from_numpy(candidates).float())
    ours = SAMPLER.overlaps(cameras(query[:, :1]), cameras(candidates))
    np.testing.assert_allclose(ours, overlap.numpy(), atol=1e-6)


def test_the_same_camera_looks_perfectly_and_one_behind_a_wall_of_angle_does_not() -> None:
    here = level(np.zeros(1), np.zeros(1), np.zeros(1))[None]
    others = cameras(np.array([[[0, 0, 0], [0, 0, np.pi], [3, 0, 0], [0, -1, 0]]], dtype=float))
    ratings = SAMPLER.looks(here, others)[0]
    np.testing.assert_allclose(ratings[0], 1.0, atol=1e-6)
    assert not ratings[1].any()
    assert ratings[2].max() < 1 and ratings[3].min() > WELL_SHOWN


def test_place_and_height_of_the_map_do_not_matter() -> None:
    query, candidates = (cameras(each) for each in scene(40, 9.0))
    ratings = SAMPLER.looks(query, candidates)
    shift = np.zeros((4, 4))
    shift[:3, 3] = 4000.0, 20.0, -3000.0
    np.testing.assert_allclose(SAMPLER.looks(query + shift, candidates + shift), ratings, atol=1e-5)


def test_an_episode_does_not_depend_on_its_batch() -> None:
    query, candidates = (cameras(each) for each in scene(77, 9.0))
    together = SAMPLER.looks(query, candidates)
    for row in range(BATCH):
        np.testing.assert_array_equal(SAMPLER.looks(query[row : row + 1], candidates[row : row + 1])[0], together[row])


def test_cameras_that_look_up_are_told_from_level_ones() -> None:
    up = np.eye(4)
    up[1:3, 1:3] = [[np.cos(0.9), -np.sin(0.9)], [np.sin(0.9), np.cos(0.9)]]  # 52 degrees, beyond half the view
    ratings = SAMPLER.looks(np.eye(4)[None, None], np.stack([np.eye(4), up])[None])[0]
    assert ratings[0].min() > 0.99 and not ratings[1].any()


def test_views_that_do_not_exist_are_never_chosen() -> None:
    query, candidates = (cameras(each) for each in scene(5, 3.0))
    exists = np.zeros((BATCH, 5), dtype=bool)
    exists[:, 1] = exists[:4, 3] = True
    chosen, _ = choose_views(SAMPLER.looks(query, candidates), SAMPLER.closeness(query, candidates), exists, 3)
    assert all(sorted(row) == [-1, 1, 3] for row in chosen[:4].tolist())
    assert all(row == [1, -1, -1] for row in chosen[4:].tolist())
