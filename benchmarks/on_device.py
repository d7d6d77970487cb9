"""Times, memory and kernels of a device, for the benchmarks in this folder."""

from __future__ import annotations

import ctypes
import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

KERNEL_CLASSES = (
    ("sparse attention", ("block_sparse_attention", "hopper_attention")),
    ("attention along time", ("time_attention",)),
    ("dense attention", ("flash", "fmha", "sdpa", "cudnn", "scaled_dot_product", "attention")),
    ("heads and rotation", ("split_branches", "join_branches", "rms_rotary")),
    ("norm, gate, modulation", ("gated_norm", "residual_norm")),
    ("tile choice", ("tile_means", "block_select")),
    ("matrix products", ("gemm", "nvjet", "cutlass", "xmma", "addmm", "splitk", "cublas", "gemv", "aten::mm")),
    ("copies", ("memcpy", "copy", "elementwise", "catarray", "fill", "index")),
)


@dataclass
class Stopwatch:
    """Milliseconds of stages by events on the device, read after everything has run."""

    device: torch.device
    marks: list[tuple[str, Any, Any]] = field(default_factory=list)

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap ``function`` so that it is timed as stage ``name``."""

        def timed(*arguments: Any, **options: Any) -> Any:
            began = self._mark()
            result = function(*arguments, **options)
            self.marks.append((name, began, self._mark()))
            return result

        return timed

    def read(self) -> dict[str, list[float]]:
        """Return times by stage in order of their calls, and start afresh."""
        synchronize(self.device)
        times: dict[str, list[float]] = {}
        for name, began, ended in self.marks:
            taken = began.elapsed_time(ended) if self.device.type == "cuda" else 1000 * (ended - began)
            times.setdefault(name, []).append(round(taken, 3))
        self.marks = []
        return times

    def _mark(self) -> Any:
        if self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def milliseconds(device: torch.device, run: Callable[[], Any], repeats: int) -> float:
    """Median time of a call after one to warm up."""
    times = []
    for _ in range(repeats + 1):
        synchronize(device)
        began = time.perf_counter()
        run()
        synchronize(device)
        times.append(1000 * (time.perf_counter() - began))
    return round(statistics.median(times[1:]), 3)


def peak_gib(device: torch.device, run: Callable[[], Any]) -> float | None:
    """GiB at most while ``run`` runs, with everything that was there before."""
    if device.type != "cuda":
        run()
        return None
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    run()
    synchronize(device)
    return round(torch.cuda.max_memory_allocated(device) / 2**30, 2)


def resident_mib(trim: bool = True) -> float:
    """Read the resident set size of this process in MiB (Linux).

    Args:
        trim: whether Python and the C library first give back what they keep for later.
    """
    if trim:
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    lines = Path("/proc/self/status").read_text().splitlines()
    (kibibytes,) = (int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return kibibytes / 1024


def kernel_times(device: torch.device, run: Callable[[], Any]) -> dict[str, float]:
    """Milliseconds by kernel class, most first, while ``run`` runs a second time; on a CPU, of operators."""
    cuda = device.type == "cuda"
    run()
    synchronize(device)
    began = time.perf_counter()
    with profile(activities=[ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]) as record:
        run()
        synchronize(device)
    whole = 1000 * (time.perf_counter() - began)
    times: dict[str, float] = {}
    for event in record.key_averages():
        taken = event.self_device_time_total if cuda else event.self_cpu_time_total
        if taken > 0:
            name = kernel_class(event.key)
            times[name] = times.get(name, 0.0) + taken / 1000
    result = {name: round(taken, 2) for name, taken in sorted(times.items(), key=lambda item: -item[1])}
    return {**result, "all kernels": round(sum(times.values()), 2), "wall, profiled": round(whole, 2)}


def kernel_class(name: str) -> str:
    """Classify a kernel by its name."""
    lower = name.lower()
    return next((kind for kind, words in KERNEL_CLASSES if any(word in lower for word in words)), "other")
