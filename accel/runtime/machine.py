"""Machine that a report was made on: names, versions, memory."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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


def free_memory(device: torch.device) -> int | None:
    """Return the bytes that can still be taken: of a GPU, or of the host (Linux); None where nobody says."""
    if device.type == "cuda":
        # What torch's own allocator holds without using it is free as well.
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + idle
    table = Path("/proc/meminfo")
    if not table.is_file():
        return None
    for line in table.read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def check_memory(what: str, needed: int, device: torch.device) -> None:
    """Stop before loading if the memory cannot hold it.

    Raises:
        ValueError: says how much is needed and how much is free.
    """
    free = free_memory(device)
    if free is not None and free < needed:
        where = "this GPU" if device.type == "cuda" else "this machine"
        raise ValueError(f"{what} needs {needed / 1e9:.1f} GB, {where} has {free / 1e9:.1f} free")
