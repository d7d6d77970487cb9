"""Memory that is still free on a device, and the check before something large is allocated."""

from __future__ import annotations

from pathlib import Path

import torch


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
