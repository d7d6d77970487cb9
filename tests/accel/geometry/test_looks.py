"""Looks and the choice of views equal what the freedoom world is trained with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from li_env.accel.geometry.looks import WELL_SHOWN, Candidates, LookSampler, choose_views
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


def flat(candidates: np.ndarray) -> Candidates:
    """Put candidates [B, m, 4, 4] into one list."""
    return Candidates(np.full(len(candidates), candidates.shape[1]), candidates.reshape(-1, 4, 4))


def ratings_of(query: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return looks [B, m, p], also of candidates that see nothing."""
    looks = SAMPLER.looks(query, flat(candidates))
    ratings = np.zeros((candidates.shape[0] * candidates.shape[1], looks.ratings.shape[1]), dtype=np.float32)
    ratings[looks.rows] = looks.ratings
    return ratings.reshape(*candidates.shape[:2], -1)


def chosen_of(query: np.ndarray, candidates: Candidates, count: int) -> tuple[np.ndarray, np.ndarray]:
    looks = SAMPLER.looks(query, candidates)
    return choose_views(looks, SAMPLER.closeness(looks.offsets), candidates, count)


@pytest.mark.parametrize(("count", "side"), [(3, 3.0), (40, 9.0), (300, 20.0), (3000, 40.0)])
def test_the_choice_is_that_of_the_training(count: int, side: float) -> None:
    query, candidates = scene(count, side)
    wanted, given = torch.from_numpy(query).float(), torch.from_numpy(candidates).float()
    ratings = ratings_of(cameras(query), cameras(candidates))
    np.testing.assert_allclose(ratings, views.looks(wanted, given).numpy(), atol=1e-4)
    budget = min(8, count)
    expected = views.choose_views(wanted, given, torch.ones(1, count, dtype=torch.bool), budget)
    chosen, best = chosen_of(cameras(query), flat(cameras(candidates)), budget)
    np.testing.assert_array_equal(chosen, expected.numpy())
    np.testing.assert_array_equal(best, np.take_along_axis(ratings, chosen[..., None], axis=1).max(axis=1))


def test_the_motion_context_sees_what_the_training_sees() -> None:
    query, candidates = scene(300, 20.0)
    overlap = store.view_overlap(torch.from_numpy(query[:, :1]).float(), torch.from_numpy(candidates).float())
    ours = SAMPLER.overlaps(cameras(query[:, :1]), flat(cameras(candidates)))
    np.testing.assert_allclose(ours.reshape(overlap.shape), overlap.numpy(), atol=1e-6)


def test_the_same_camera_looks_perfectly_and_one_behind_a_wall_of_angle_does_not() -> None:
    here = level(np.zeros(1), np.zeros(1), np.zeros(1))[None]
    others = cameras(np.array([[[0, 0, 0], [0, 0, np.pi], [3, 0, 0], [0, -1, 0]]], dtype=float))
    ratings = ratings_of(here, others)[0]
    np.testing.assert_allclose(ratings[0], 1.0, atol=1e-6)
    assert not ratings[1].any()
    assert ratings[2].max() < 1 and ratings[3].min() > WELL_SHOWN


def test_place_and_height_of_the_map_do_not_matter() -> None:
    query, candidates = (cameras(each) for each in scene(40, 9.0))
    ratings = ratings_of(query, candidates)
    shift = np.zeros((4, 4))
    shift[:3, 3] = 4000.0, 20.0, -3000.0
    np.testing.assert_allclose(ratings_of(query + shift, candidates + shift), ratings, atol=1e-5)


@pytest.mark.parametrize("tilted", [False, True])
def test_an_episode_does_not_depend_on_its_batch(tilted: bool) -> None:
    query, candidates = (cameras(each) for each in scene(77, 9.0))
    if tilted:  # one camera that is not level, in another episode
        candidates[3, 5, 1:3, 1:3] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    counts = np.arange(BATCH) * 11
    some = Candidates(counts, np.concatenate([each[:count] for each, count in zip(candidates, counts, strict=True)]))
    together, shares = SAMPLER.looks(query, some), SAMPLER.overlaps(query, some)
    picks, best = choose_views(together, SAMPLER.closeness(together.offsets), some, 8)
    for row in range(BATCH):
        alone, mine = flat(candidates[row : row + 1, : counts[row]]), some.episodes == row
        looks = SAMPLER.looks(query[row : row + 1], alone)
        np.testing.assert_array_equal(looks.ratings, together.ratings[some.episodes[together.rows] == row])
        np.testing.assert_array_equal(looks.offsets, together.offsets[mine])
        np.testing.assert_array_equal(SAMPLER.overlaps(query[row : row + 1], alone), shares[mine])
        own = choose_views(looks, SAMPLER.closeness(looks.offsets), alone, 8)
        np.testing.assert_array_equal(own[0][0], picks[row])
        np.testing.assert_array_equal(own[1][0], best[row])


def test_each_choice_improves_the_best_looks_most() -> None:
    query, candidates = (cameras(each) for each in scene(60, 9.0))
    ratings = ratings_of(query, candidates)
    looks = SAMPLER.looks(query, flat(candidates))
    near = SAMPLER.closeness(looks.offsets).reshape(BATCH, -1)
    chosen, _ = choose_views(looks, SAMPLER.closeness(looks.offsets), flat(candidates), 8)
    for row in range(BATCH):
        best = np.zeros(ratings.shape[2], dtype=np.float32)
        for pick in chosen[row]:
            gain = np.maximum(ratings[row] - best, 0.0).mean(axis=1) + near[row]
            assert pick == gain.argmax()
            best, near[row, pick] = np.maximum(best, ratings[row, pick]), -2.0


def test_cameras_that_look_up_are_told_from_level_ones() -> None:
    up = np.eye(4)
    up[1:3, 1:3] = [[np.cos(0.9), -np.sin(0.9)], [np.sin(0.9), np.cos(0.9)]]  # 52 degrees, beyond half the view
    ratings = ratings_of(np.eye(4)[None, None], np.stack([np.eye(4), up])[None])[0]
    assert ratings[0].min() > 0.99 and not ratings[1].any()


def test_no_more_are_chosen_than_there_are() -> None:
    query, candidates = (cameras(each) for each in scene(5, 3.0))
    counts = np.array([2, 0, 1, 0, 0, 0, 0, 0])
    some = Candidates(counts, np.concatenate([candidates[0, :2], candidates[2, :1]]))
    chosen, best = chosen_of(query, some, 3)
    assert sorted(chosen[0].tolist()) == [-1, 0, 1] and chosen[2].tolist() == [0, -1, -1]
    assert (chosen[[1, 3]] == -1).all() and not best[1].any()
