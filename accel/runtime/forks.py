"""Rules for a process that is forked after a world has run: one thread, and no GPU.

The threads of PyTorch's pool (OpenMP) do not exist in a forked child, and the first parallel region there would wait
for them for ever. A child with one thread enters no parallel region; the workers of PyTorch's own DataLoader do the
same.
"""

from __future__ import annotations

import os

import torch

_users: set[int] = set()
"""Ids of processes, this one or its ancestors, that had used CUDA when they forked."""


def refuse_lost_gpu(device: torch.device) -> None:
    """Refuse to compute on a GPU that was in use before this process was forked.

    Raises:
        RuntimeError: names the start methods that work.
    """
    if device.type == "cuda" and _users - {os.getpid()}:
        raise RuntimeError(
            f"device={str(device)!r} was in use before this process was forked and cannot be used in it: "
            "start workers with 'spawn' or 'forkserver' instead of 'fork'"
        )


def _before() -> None:
    if torch.cuda.is_initialized():
        _users.add(os.getpid())


def _in_child() -> None:
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_child=_in_child)
