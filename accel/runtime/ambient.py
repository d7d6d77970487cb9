"""Isolation from settings of torch: what users set for their own networks must not change what a world computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch


@dataclass(frozen=True)
class _Setting:
    """Global setting of torch, with the value that worlds compute with: torch's default."""

    read: Callable[[], Any]
    write: Callable[[Any], object]
    own: Any


def _attribute(owner: Any, name: str, own: Any) -> _Setting:
    return _Setting(partial(getattr, owner, name), partial(setattr, owner, name), own)


_BACKENDS: Any = torch.backends

_SETTINGS = (
    _Setting(torch.get_default_dtype, torch.set_default_dtype, torch.float32),
    # General precisions come first: writing them overwrites the precisions listed below them.
    _attribute(_BACKENDS, "fp32_precision", "none"),
    _attribute(_BACKENDS.cudnn, "fp32_precision", "none"),
    _attribute(_BACKENDS.mkldnn, "fp32_precision", "none"),
    _attribute(_BACKENDS.cuda.matmul, "fp32_precision", "none"),
    _attribute(_BACKENDS.cudnn.conv, "fp32_precision", "tf32"),
    _attribute(_BACKENDS.mkldnn.matmul, "fp32_precision", "none"),
    _attribute(_BACKENDS.mkldnn.conv, "fp32_precision", "none"),
    _attribute(_BACKENDS.cudnn, "benchmark", False),
    _attribute(_BACKENDS.cudnn, "deterministic", False),
    _attribute(_BACKENDS.cudnn, "enabled", True),
    _attribute(_BACKENDS.mkldnn, "enabled", True),
    _attribute(_BACKENDS.cuda.matmul, "allow_bf16_reduced_precision_reduction", True),
    _attribute(_BACKENDS.cuda.matmul, "allow_fp16_reduced_precision_reduction", True),
    _Setting(torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, False),
    _Setting(_BACKENDS.cuda.flash_sdp_enabled, _BACKENDS.cuda.enable_flash_sdp, True),
    _Setting(_BACKENDS.cuda.mem_efficient_sdp_enabled, _BACKENDS.cuda.enable_mem_efficient_sdp, True),
    _Setting(_BACKENDS.cuda.cudnn_sdp_enabled, _BACKENDS.cuda.enable_cudnn_sdp, True),
    _Setting(_BACKENDS.cuda.math_sdp_enabled, _BACKENDS.cuda.enable_math_sdp, True),
)


@contextmanager
def own_torch_state() -> Iterator[None]:
    """Compute with torch's defaults inside the ``with`` statement, and restore the user's settings afterwards.

    The defaults cover autocast, default device, default type, precision of float32 products, deterministic algorithms,
    choice of attention kernels, and gradients (which are not recorded inside). Tensors made inside are ordinary
    tensors, also under ``torch.inference_mode``. The number of CPU threads stays the user's, and another number rounds
    differently. The switch takes about twenty microseconds.
    """
    changed = [(each, before) for each in _SETTINGS if (before := each.read()) != each.own]
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    with ExitStack() as stack:
        for each, _ in changed:
            each.write(each.own)
        stack.callback(_put_back, changed, warn_only)
        # Entered only where needed: inside, a device context costs microseconds for every operation.
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for device_type in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device_type):
                stack.enter_context(torch.autocast(device_type, enabled=False))
        # Tensors made in inference mode could not be used in training, nor written to by a later step outside of it.
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        yield


def _put_back(changed: list[tuple[_Setting, Any]], warn_only: bool) -> None:
    for each, before in changed:
        if each.write is torch.use_deterministic_algorithms:
            torch.use_deterministic_algorithms(before, warn_only=warn_only)
        else:
            each.write(before)
