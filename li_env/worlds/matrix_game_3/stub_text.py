"""Stub of the text encoder for measuring speed, and for tests without weights."""

from __future__ import annotations

import hashlib

import torch


class HashedStates:
    """Text states that depend on the prompt alone: random numbers seeded by it, as many as it has words."""

    def __init__(self, longest: int, width: int) -> None:
        self._longest, self._width = longest, width

    def __call__(self, prompt: str) -> torch.Tensor:
        """Return text states [n, width] of a prompt."""
        seed = int.from_bytes(hashlib.blake2b(prompt.encode(), digest_size=7).digest(), "little")
        count = min(self._longest, 1 + len(prompt.split()))
        return torch.randn((count, self._width), generator=torch.Generator().manual_seed(seed))
