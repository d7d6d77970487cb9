from __future__ import annotations

import mmap

import pytest
import torch

from li_env.evaluation.bench import peak_memory
from li_env.evaluation.bench.peak_memory import PeakMemory


def test_a_peak_is_forgotten_at_the_next_reset():
    peak = PeakMemory(torch.device("cpu"))
    peak.reset()
    if peak.mebibytes() is None:
        pytest.skip("this system does not let a process reset its peak")
    # Memory of the system itself: what an allocator frees it may keep for later.
    with mmap.mmap(-1, 2**28) as block:  # 256 MiB
        for page in range(0, len(block), mmap.PAGESIZE):
            block[page] = 1
        after = peak.mebibytes()
    peak.reset()
    assert after - peak.mebibytes() > 128


def test_a_system_that_does_not_tell_gives_none(monkeypatch, tmp_path):
    monkeypatch.setattr(peak_memory, "_CLEAR", tmp_path / "absent" / "clear_refs")
    peak = PeakMemory(torch.device("cpu"))
    peak.reset()
    assert peak.mebibytes() is None
