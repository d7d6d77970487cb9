from __future__ import annotations

import pytest
import torch

from li_env.accel.runtime.latent_change import examine, smoothed


def noise(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 3, 2, 2, generator=torch.Generator().manual_seed(seed))


def test_change_is_the_mean_squared_difference() -> None:
    old, new = noise(4, 0), noise(4, 1)
    finite, changes = examine([new, old, new], [old, None, new])
    assert finite == [True, True, True]
    assert changes == [pytest.approx(float(((new - old) ** 2).mean())), None, 0.0]


def test_chunks_of_different_lengths_compare_their_ends() -> None:
    old, new = noise(7, 0), noise(4, 1)
    assert examine([new], [old])[1] == [pytest.approx(float(((new - old[3:]) ** 2).mean()))]
    assert examine([old], [new])[1] == [pytest.approx(float(((new - old[3:]) ** 2).mean()))]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_not_finite(bad: float) -> None:
    chunks = [noise(4, seed) for seed in range(3)]
    chunks[1][3, 0, 0, 0] = bad
    finite, changes = examine(chunks, [noise(2, 5), noise(4, 6), noise(4, 7)])
    assert finite == [True, False, True]
    assert changes[1] is None
    assert changes[2] == pytest.approx(float(((chunks[2] - noise(4, 7)) ** 2).mean()))


def test_a_chunk_changes_alone_as_among_others() -> None:
    generator = torch.Generator().manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(4)  # torch.mean adds up a single long row in parts, one per thread
    try:
        for size in (1, 3, 33_001, 65_536):
            new, old = torch.randn(2, 9, 1, 1, size, 1, generator=generator).unbind(0)
            together = examine(list(new), list(old))[1]
            for index in range(9):
                assert examine([new[index]], [old[index]])[1] == [together[index]]
                assert together[index] == pytest.approx(float(((new[index] - old[index]) ** 2).mean()))
    finally:
        torch.set_num_threads(threads)


def test_nothing() -> None:
    assert examine([], []) == ([], [])


def test_the_device_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    plain = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: asked.append(1) or plain(tensor))
    examine([noise(4, seed) for seed in range(9)], [noise(4, seed) for seed in range(8)] + [None])
    assert len(asked) == 1


def test_moving_average_starts_with_its_first_value() -> None:
    assert smoothed(None, None, 0.5) is None
    assert smoothed(None, 3.0, 0.25) == 3.0
    assert smoothed(3.0, 7.0, 0.25) == 4.0
    assert smoothed(3.0, None, 0.25) == 3.0
    assert smoothed(3.0, 7.0, 1.0) == 7.0
