"""Noise of an episode: a function of its seed, the chunk and the index in the chunk alone.

The generator is counter-based (Philox 4x32-10, Salmon et al. 2011). All episodes of a batch draw at once, on the
device, and each gets the numbers that it would get alone. Devices agree up to the last digit of a logarithm.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch

from li_env.accel.device import to_device
from li_env.accel.world_spec import WorldSpec

_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_WEYL = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10
_MASK = 0xFFFFFFFF


def noise_of(
    spec: WorldSpec, seeds: Sequence[int], chunks: Sequence[int], counts: Sequence[int], device: torch.device
) -> Sequence[torch.Tensor]:
    """Draw standard normal noise [counts[i], C, h, w] for chunk ``chunks[i]`` of an episode seeded ``seeds[i]``."""
    if not seeds:
        return []
    each = math.prod(spec.latent_shape)
    numbers = standard_normal(seeds, chunks, max(counts) * each, device)
    if min(counts) == max(counts):
        return numbers.view(len(seeds), counts[0], *spec.latent_shape).unbind()
    return [row[: count * each].view(count, *spec.latent_shape) for row, count in zip(numbers, counts, strict=True)]


def standard_normal(seeds: Sequence[int], chunks: Sequence[int], count: int, device: torch.device) -> torch.Tensor:
    """Draw normal numbers [B, count] float32, row i for chunk ``chunks[i]`` of an episode seeded ``seeds[i]``."""
    keys = torch.tensor([_key(*each) for each in zip(seeds, chunks, strict=True)], dtype=torch.int64)
    keys = to_device(keys, device)
    counters = torch.arange(-(-count // 4), dtype=torch.int64, device=device)[None]
    words = torch.stack(philox(counters, keys[:, :1], keys[:, 1:]), dim=-1)  # [B, count / 4, 4]
    uniform = (words.double() + 0.5) / 2.0**32
    # Box and Muller: two uniform numbers give two normal numbers.
    radius = torch.sqrt(-2.0 * torch.log(uniform[..., :2]))
    angle = 2.0 * math.pi * uniform[..., 2:]
    return torch.cat((radius * angle.cos(), radius * angle.sin()), dim=-1).flatten(1)[:, :count].float()


def philox(counter: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return four words of 32 bits for every counter and key (broadcast), in int64 tensors.

    The other three words of the counter are 0. Products wrap at 64 bits, so their bits are right although int64 has a
    sign.
    """
    zero = torch.zeros_like(counter)
    c0, c1, c2, c3 = counter, zero, zero, zero
    for _ in range(_ROUNDS):
        first, second = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            ((second >> 32) & _MASK) ^ c1 ^ low,
            second & _MASK,
            ((first >> 32) & _MASK) ^ c3 ^ high,
            first & _MASK,
        )
        low, high = (low + _WEYL[0]) & _MASK, (high + _WEYL[1]) & _MASK
    return c0, c1, c2, c3


def _key(seed: int, chunk: int) -> tuple[int, int]:
    """Hash a seed and a chunk to a key, so that neighbouring seeds and chunks share nothing."""
    digest = hashlib.blake2b(f"{seed}:{chunk}".encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")
