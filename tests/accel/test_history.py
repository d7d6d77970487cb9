from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from li_env.accel.geometry.camera import STILL, CameraMotion
from li_env.accel.history import History
from tests.accel.test_pose_track import numbered


def chunk(start: int, count: int) -> torch.Tensor:
    return torch.arange(start, start + count, dtype=torch.float32)[:, None, None, None].expand(-1, 2, 1, 1).clone()


def extended(history: History, count: int, value: int | None = None) -> History:
    start = len(history) if value is None else value
    motions = [CameraMotion(forward=start + offset) for offset in range(count)][1 if history.chunks == 0 else 0 :]
    return history.append(chunk(start, count), numbered(start, count), motions)


def test_latents_by_index_across_chunks() -> None:
    history = History()
    for count in (3, 4, 4):
        history = extended(history, count)
    assert (len(history), history.chunks) == (11, 3)
    for indices in ([0], [2, 3], [0, 1, 2], [3, 4, 5, 6], [1, 5, 6, 7, 10], [10, 0, 3]):
        assert history.latents(indices)[:, 0, 0, 0].tolist() == indices
    assert history.latents([4, 5]).shape == (2, 2, 1, 1)
    assert len(history.motions) == 10
    assert [motion.forward for motion in history.motions] == list(range(1, 11))
    np.testing.assert_array_equal(history.poses, numbered(0, 11))


@pytest.mark.parametrize("indices", [[], [-1], [7], [0, 99]])
def test_latents_outside_the_history(indices: list[int]) -> None:
    history = extended(extended(History(), 3), 4)
    with pytest.raises(IndexError, match=r"^indices: "):
        history.latents(indices)


def test_motions_by_index() -> None:
    history = extended(extended(History(), 4), 4)
    assert [motion.forward for motion in history.motions_to([1, 3, 4, 7])] == [1, 3, 4, 7]
    assert history.motions_to([0]) == (STILL,)
    with pytest.raises(IndexError):
        history.motions_to([8])


def test_last_chunk_and_latent_change() -> None:
    empty = History()
    assert (empty.last_chunk, empty.latent_change) == (None, None)
    first = extended(empty, 3)
    second = first.append(chunk(3, 4), numbered(3, 4), [STILL] * 4).with_latent_change(0.25)
    assert first.last_chunk is not None
    assert second.last_chunk is not None
    assert (first.last_chunk[:, 0, 0, 0].tolist(), first.latent_change) == ([0, 1, 2], None)
    assert (second.last_chunk[:, 0, 0, 0].tolist(), second.latent_change) == ([3, 4, 5, 6], 0.25)


def test_append_checks_lengths() -> None:
    history = extended(extended(History(), 3), 4)
    with pytest.raises(ValueError, match=r"^latents: 2 in this chunk, 4 in the chunks before"):
        extended(history, 2)
    with pytest.raises(ValueError, match=r"^motions: 1 given, 4"):
        history.append(chunk(0, 4), numbered(0, 4), [STILL])
    with pytest.raises(ValueError, match=r"^latents: 4 for 3 poses"):
        history.append(chunk(0, 4), numbered(0, 3), [STILL] * 4)
    with pytest.raises(ValueError, match=r"^latents: 0 for 0 poses"):
        history.append(chunk(0, 0), numbered(0, 0), [])


def test_append_copies_no_chunk() -> None:
    first = extended(History(), 3)
    second = extended(first, 4)
    assert second._chunks[0] is first._chunks[0]
    assert second._chunks._items is first._chunks._items


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(100, 10_000)), min_size=1, max_size=30))
def test_forks_of_any_tree_keep_their_own_values(appends: list[tuple[int, int]]) -> None:
    """Append to arbitrary earlier histories; each must stay equal to a plain list."""
    histories: list[History] = [History()]
    models: list[list[int]] = [[]]
    for parent, value in appends:
        parent %= len(histories)
        histories.append(extended(histories[parent], 2, value))
        models.append([*models[parent], value, value + 1])
        for history, model in zip(histories, models, strict=True):
            assert len(history) == len(model)
            assert history.poses[:, 0, 0].tolist() == model
            if model:
                assert history.latents(range(len(model)))[:, 0, 0, 0].tolist() == model
                assert [motion.forward for motion in history.motions] == model[1:]


def test_another_latent_change_leaves_everything_else() -> None:
    before = History().append(torch.zeros(2, 1, 1, 1), np.stack([np.eye(4)] * 2), [CameraMotion()])
    after = before.with_latent_change(0.25)
    assert (before.latent_change, after.latent_change) == (None, 0.25)
    assert len(after) == 2 and after.last_chunk is before.last_chunk and after.motions == before.motions
    assert np.shares_memory(after.poses, before.poses)
