"""Which implementation runs: Triton on a GPU that can take it, otherwise torch, said once in the log."""

from __future__ import annotations

import logging
from functools import lru_cache

import torch

OLDEST_CAPABILITY = (8, 0)
_log = logging.getLogger(__name__)


def uses_triton(device: torch.device) -> bool:
    """Whether kernels on tensors of ``device`` run through Triton; the reason why not is logged once per device."""
    return _uses_triton(device.type, device.index)


@lru_cache(maxsize=32)
def _uses_triton(kind: str, index: int | None) -> bool:
    device = torch.device(kind, index) if index is not None else torch.device(kind)
    reason = None
    if kind != "cuda":
        reason = "not a CUDA device"
    elif not _has_triton():
        reason = "triton is not installed"
    elif torch.cuda.get_device_capability(device) < OLDEST_CAPABILITY:
        reason = f"compute capability {torch.cuda.get_device_capability(device)} is older than {OLDEST_CAPABILITY}"
    if reason is not None:
        _log.info("block-sparse kernels on %s run in torch: %s", device, reason)
    return reason is None


@lru_cache(maxsize=1)
def _has_triton() -> bool:
    try:
        import triton  # noqa: F401
    except ImportError:
        return False
    return True
