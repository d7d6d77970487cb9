"""Choice of the implementation: Triton on a GPU that supports it, otherwise torch, logged once per device."""

from __future__ import annotations

import logging
from functools import lru_cache

import torch

OLDEST_CAPABILITY = (8, 0)
_log = logging.getLogger(__name__)


def uses_triton(device: torch.device) -> bool:
    """Return whether kernels on tensors of ``device`` run through Triton; log the reason why not once per device."""
    return _uses_triton(device.type, device.index)


@lru_cache(maxsize=32)
def _uses_triton(device_type: str, index: int | None) -> bool:
    device = torch.device(device_type, index) if index is not None else torch.device(device_type)
    reason = None
    if device_type != "cuda":
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
