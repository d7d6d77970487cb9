from __future__ import annotations

import torch

from li_env.accel.runtime.noise import philox, standard_normal

CPU = torch.device("cpu")


def test_philox_gives_the_published_words() -> None:
    """Compare with the known answers of Philox 4x32-10 (Random123, kat_vectors) whose counter has one word."""
    zero = torch.zeros(1, dtype=torch.int64)
    words = [int(word) for word in philox(zero, zero, zero)]
    assert words == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


def test_philox_equals_a_plain_implementation() -> None:
    def plain(counter: int, low: int, high: int) -> list[int]:
        c, mask = [counter, 0, 0, 0], 0xFFFFFFFF
        for _ in range(10):
            first, second = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [(second >> 32) ^ c[1] ^ low, second & mask, (first >> 32) ^ c[3] ^ high, first & mask]
            low, high = (low + 0x9E3779B9) & mask, (high + 0xBB67AE85) & mask
        return c

    for case in ((0, 0, 0), (1, 2, 3), (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF), (123456789, 0x80000000, 0xDEADBEEF)):
        words = philox(*(torch.tensor([value], dtype=torch.int64) for value in case))
        assert [int(word) for word in words] == plain(*case)


def test_numbers_are_normal_and_independent() -> None:
    numbers = standard_normal([1, 2, 1], [0, 0, 1], 20_000, CPU)
    assert (numbers.shape, numbers.dtype) == ((3, 20_000), torch.float32)
    for power, expected in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)):
        torch.testing.assert_close(numbers.pow(power).mean(1), torch.full((3,), expected), atol=0.2, rtol=0)
    assert torch.corrcoef(numbers).fill_diagonal_(0).abs().max() < 0.03
    neighbours = torch.corrcoef(torch.stack((numbers[0, :-2], numbers[0, 1:-1], numbers[0, 2:])))
    assert neighbours.fill_diagonal_(0).abs().max() < 0.03


def test_numbers_do_not_depend_on_the_batch_or_on_how_many_are_drawn() -> None:
    together = standard_normal([5, 6, 2**70], [3, 0, 9], 101, CPU)
    for row, (seed, chunk) in enumerate(((5, 3), (6, 0), (2**70, 9))):
        alone = standard_normal([seed], [chunk], 101, CPU)[0]
        assert torch.equal(together[row], alone)
        assert torch.equal(standard_normal([seed], [chunk], 7, CPU)[0], alone[:7])
