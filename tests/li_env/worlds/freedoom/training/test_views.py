import math

import pytest
import torch

from li_env.worlds.freedoom.training.dynamics import SCAN_WINDOWS
from li_env.worlds.freedoom.training.store import GROUP, LatentStore, Window
from li_env.worlds.freedoom.training.views import choose_views, looks

MAPS, PER_MAP, LENGTH, VIEWS = 3, 2, 40, 24


def scanned_store() -> LatentStore:
    """Make latents that hold a number of their own: walks 0, 1, ..., views from 10,000 on."""
    generator = torch.Generator().manual_seed(0)
    poses = torch.randn(MAPS * PER_MAP, LENGTH, 3, generator=generator).mul(0.4).cumsum(1)
    walks = torch.arange(MAPS * PER_MAP * LENGTH).view(-1, LENGTH, 1, 1).expand(-1, -1, 2, 3).float()
    view_poses = torch.randn(MAPS, VIEWS, 3, generator=generator) * 3
    views = (10_000 + torch.arange(MAPS * VIEWS)).view(MAPS, VIEWS, 1, 1).expand(-1, -1, 2, 3).float()
    return LatentStore(walks, poses, views, view_poses)


def test_the_nearest_of_equal_views_is_taken_and_then_one_that_shows_the_rest() -> None:
    query = torch.zeros(1, 1, 3)
    candidates = torch.tensor([[[0, -3.0, 0], [0, -0.5, 0], [0, -0.6, 0], [0, 0, math.pi], [0.2, 0, 0.6]]])
    chosen = choose_views(query, candidates, torch.ones(1, 5, dtype=torch.bool), 3)[0].tolist()
    assert 3 not in chosen[:2]  # looks behind
    assert set(chosen[:2]) == {1, 4}


def test_looks_are_best_at_the_same_pose_and_nothing_from_behind() -> None:
    query = torch.tensor([[[1.0, 2.0, 0.3]]])
    candidates = torch.tensor([[[1.0, 2.0, 0.3], [1.0, 2.0, 0.3 + math.pi], [60.0, 2.0, 0.3]]])
    same, behind, far = looks(query, candidates)[0].mean(-1).tolist()
    assert same == pytest.approx(1.0, abs=1e-4)
    assert behind == 0 and far == 0


def test_views_that_are_not_allowed_only_fill_up() -> None:
    query = torch.zeros(1, 1, 3)
    candidates = torch.tensor([[[0, 0.0, 0], [0, -1.0, 0], [0, -2.0, 0]]])
    allowed = torch.tensor([[False, True, True]])
    assert choose_views(query, candidates, allowed, 3)[0].tolist() == [1, 2, 0]


@pytest.mark.parametrize("window", [window for _, window in SCAN_WINDOWS])
def test_contexts_hold_views_of_the_own_map_first(window: Window) -> None:
    store = scanned_store()
    batch = store.sample(window, 64, torch.Generator().manual_seed(1))
    numbers, target = batch.context[:, :, 0, 0], batch.target[:, 0, 0, 0]
    assert numbers.shape[1] == window.context and batch.views == window.views
    views, past = numbers[:, : window.views], numbers[:, window.views :]
    walked = views < 10_000
    map_of_views = torch.where(walked, views // (LENGTH * PER_MAP), (views - 10_000) // VIEWS)
    assert (map_of_views == (target // (LENGTH * PER_MAP))[:, None]).all()
    if window.recent:
        assert (past[:, -1] == target - 1).all()


def test_without_a_generator_only_the_scan_is_searched() -> None:
    store = scanned_store()
    track, start = torch.tensor([0, 3]), torch.tensor([20, 24])
    latents, poses = store.near_views(track, start, Window(0, 0, 8), None)
    assert (latents >= 10_000).all() and poses.shape == (2, 8, 3)
    rows = (latents[:, :, 0, 0] - 10_000).long()
    torch.testing.assert_close(poses, store.view_poses.flatten(0, 1)[rows])
    assert len(set(rows[0].tolist())) == 8
    assert start[0] % GROUP == 0


def test_candidates_are_what_their_latents_say() -> None:
    store = scanned_store()
    track = torch.tensor([3])
    everything = torch.arange(VIEWS + PER_MAP * LENGTH)[None]
    numbers = store.candidate_latents(track, everything)[0, :, 0, 0]
    walks = torch.arange(2 * LENGTH, 4 * LENGTH).float()
    torch.testing.assert_close(numbers, torch.cat((10_000 + VIEWS + torch.arange(VIEWS), walks)))
