from __future__ import annotations

import pytest
import torch

from li_env import device_memory
from li_env.device_memory import check_memory, free_memory

CPU = torch.device("cpu")


def test_free_memory_is_known_where_linux_tells_it(monkeypatch, tmp_path):
    free = free_memory(CPU)
    assert free is None or 10**8 < free < 10**14
    table = tmp_path / "meminfo"
    table.write_text("MemTotal: 10 kB\nMemAvailable:  7 kB\n")
    monkeypatch.setattr(device_memory, "Path", lambda path: table)
    assert free_memory(CPU) == 7 * 1024
    table.unlink()
    assert free_memory(CPU) is None


def test_what_does_not_fit_is_refused_before_it_is_loaded(monkeypatch):
    monkeypatch.setattr(device_memory, "free_memory", lambda device: 15_000_000_000)
    check_memory("the world", 15_000_000_000, CPU)
    with pytest.raises(ValueError, match=r"^the world needs 22.0 GB, this GPU has 15.0 free$"):
        check_memory("the world", 22_000_000_000, torch.device("cuda"))
    with pytest.raises(ValueError, match=r"this machine has 15.0 free$"):
        check_memory("the world", 22_000_000_000, CPU)
