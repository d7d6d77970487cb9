"""Every kernel compiles, without a GPU, for the chips it is meant for, and fits into their shared memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

SHARED_LIMIT = {80: 163 * 1024, 90: 227 * 1024, 100: 227 * 1024, 120: 99 * 1024}


@pytest.fixture(scope="module")
def compiled() -> list[dict]:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.kernels.compile_sources"],
        cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("capability", SHARED_LIMIT)
def test_shared_memory_fits(compiled, capability):
    kernels = [entry for entry in compiled if entry["capability"] == capability]
    assert len(kernels) >= 5
    for entry in kernels:
        assert entry["shared"] <= SHARED_LIMIT[capability], entry


def test_hopper_uses_its_matrix_units_and_bulk_loads(compiled):
    kernels = [
        e for e in compiled if e["capability"] == 90 and e["kernel"].startswith(("attention-descriptor", "hopper"))
    ]
    assert len(kernels) == 4
    for entry in kernels:
        assert entry["wgmma"] > 0, entry
        assert entry["bulk_loads"] > 0, entry
        assert (entry["registers_moved"] > 0) == entry["kernel"].startswith("hopper"), entry


def test_convolution_uses_matrix_units_and_bulk_loads(compiled):
    kernels = [e for e in compiled if e["capability"] == 90 and e["kernel"].startswith("frame_conv")]
    assert len(kernels) == 4
    for entry in kernels:
        assert entry["wgmma"] > 0 and entry["bulk_loads"] > 0, entry
