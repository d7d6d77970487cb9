import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from li_env.worlds.freedoom.training.dynamics import WINDOWS
from li_env.worlds.freedoom.training.store import GROUP, LatentStore, Window, retrieve, view_overlap


def make_store(length: int = 48, count: int = 5) -> LatentStore:
    generator = torch.Generator().manual_seed(0)
    poses = torch.randn(count, length, 3, generator=generator).mul(0.4).cumsum(1)
    latents = torch.arange(count * length).view(count, length, 1, 1).expand(count, length, 2, 3).half()
    return LatentStore(latents, poses)


@given(st.sampled_from([window for _, window in WINDOWS]), st.integers(0, 2**31))
def test_contexts_come_before_the_chunk_without_repeats(window: Window, seed: int) -> None:
    store = make_store()
    generator = torch.Generator().manual_seed(seed)
    batch = store.sample(window, 16, generator)
    frames = batch.target[:, :, 0, 0].int()
    assert (frames.diff(dim=1) == 1).all()
    context = batch.context[:, :, 0, 0].int()
    assert context.shape[1] == window.context
    if window.context:
        assert (context.diff(dim=1) > 0).all()
        assert (context[:, -1] == frames[:, 0] - 1).all()
        assert torch.equal(context[:, -window.recent :].diff(dim=1), torch.ones_like(context[:, -window.recent + 1 :]))
        assert (context // store.length == frames[:, :1] // store.length).all()
        torch.testing.assert_close(batch.context_poses[:, -1], torch.zeros(16, 3), atol=1e-5, rtol=0)


def test_shares_sum_to_one() -> None:
    assert sum(share for share, _ in WINDOWS) == pytest.approx(1.0)
    with_memory = sum(share for share, window in WINDOWS if window.retrieved)
    assert with_memory >= 0.5


def test_overlap_of_equal_opposite_and_far_views() -> None:
    query = torch.zeros(1, 1, 3)
    candidates = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 0.0, math.pi], [0.0, 50.0, 0.0], [0.0, -1.0, 0.0]]])
    same, opposite, far, behind = view_overlap(query, candidates)[0].tolist()
    assert same == pytest.approx(1.0)
    assert opposite == 0 and far == 0
    assert 0.4 < behind < same


def test_retrieval_finds_the_view_that_was_seen_before() -> None:
    """Turn once on the spot: views after 360 degrees were seen at the start."""
    length = 64
    yaw = torch.arange(length) * math.radians(15)
    poses = torch.zeros(1, length, 3)
    poses[0, :, 2] = yaw
    start = torch.tensor([24 + 8])
    groups = retrieve(poses, start, Window(12, 4), None)
    assert groups.tolist() == [[2]]
    two = retrieve(poses, start, Window(12, 8), None)
    assert two[0, 0] == 2 and len(set(two[0].tolist())) == 2


def test_first_chunks_use_their_own_first_frame_as_reference() -> None:
    store = make_store()
    batch = store.sample(Window(0, 0), 4, torch.Generator().manual_seed(0))
    torch.testing.assert_close(batch.target_poses[:, 0], torch.zeros(4, 3), atol=1e-6, rtol=0)
    assert batch.target.shape[1] == GROUP


def test_mismatched_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="disagree"):
        LatentStore(torch.zeros(2, 8, 1, 1), torch.zeros(2, 9, 3))
