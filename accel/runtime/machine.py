"""Machine that a report was made on: names, versions, memory."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch


def peak_memory(device: torch.device) -> dict[str, float]:
    """Measure the peak memory in MiB: ``process`` (not on Windows) and ``gpu`` (on CUDA: torch tensors)."""
    peak: dict[str, float] = {}
    try:
        import resource  # not on Windows
    except ImportError:
        pass
    else:
        unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes on macOS, kibibytes on Linux
        peak["process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    if device.type == "cuda":
        peak["gpu"] = torch.cuda.max_memory_allocated(device) / 2**20
    return peak


def device_name(device: torch.device) -> str:
    """Return a readable name: of the GPU, or of the processor with its number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()} ({torch.get_num_threads()} threads)"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide the numbers."""
    try:
        own = version("li-env")
    except PackageNotFoundError:  # a bare checkout
        own = "not installed"
    return {"li_env": own, "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
