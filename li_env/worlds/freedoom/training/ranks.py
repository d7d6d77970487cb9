"""Training on several GPUs: one process per GPU, started by torchrun.

Every process renders its own share of the maps and draws its own share of every batch; gradients are averaged before
each step, so that all hold the same weights. The first process alone measures, logs and writes files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed, nn

T = TypeVar("T")

PATIENCE = timedelta(hours=1)
"""How long processes wait for one another: the first one measures while the others stand still."""


@dataclass(frozen=True)
class Ranks:
    """This process among the ``count`` processes of a training."""

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: torch.device) -> Ranks:
        """Join the processes that torchrun started; alone without it."""
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count == 1:
            return cls()
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
        return cls(distributed.get_rank(), count)

    @property
    def first(self) -> bool:
        return self.rank == 0

    def own(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's share of ``items``: equally many for all, what is left over is left out."""
        return items[: len(items) - len(items) % self.count][self.rank :: self.count]

    def seed(self, seed: int) -> int:
        """Return a seed for draws that must differ between processes."""
        return seed + 1_000_003 * self.rank

    def share(self, batch: int) -> int:
        """Return this process's part of a batch, at least one sample."""
        return max(1, batch // self.count)

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Average gradients over all processes."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.count
        for gradient, part in zip(gradients, flat.split([each.numel() for each in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def agree(self, value: float, device: torch.device) -> float:
        """Return the first process's value."""
        if self.count == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=device)
        distributed.broadcast(shared, 0)
        return float(shared)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            distributed.barrier()


ALONE = Ranks()
