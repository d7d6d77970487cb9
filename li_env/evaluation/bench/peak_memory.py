"""Peak memory of one stretch of work."""

from __future__ import annotations

from pathlib import Path

import torch

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_RESET_PEAK = "5"  # proc(5): resets the peak resident set size


class PeakMemory:
    """Peak memory since the last `reset`: of the GPU on CUDA, else of the process.

    On a CPU the peak is known only where Linux lets a process reset its own.

    Args:
        device: where the world runs.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._known = False

    def reset(self) -> None:
        """Begin a new stretch."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        try:
            _CLEAR.write_text(_RESET_PEAK)
            self._known = True
        except OSError:
            self._known = False

    def mebibytes(self) -> float | None:
        """Return the peak since `reset` in MiB; None where the system does not report it."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 2**20
        if not self._known:
            return None
        lines = _STATUS.read_text().splitlines()
        peaks = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
        return int(peaks[0]) / 2**10 if peaks else None
