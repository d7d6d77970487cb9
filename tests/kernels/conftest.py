"""Triton sources run through the interpreter where there is no GPU; the switch is read when a kernel is defined."""

from __future__ import annotations

import os

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(params=[torch.float32, torch.float16], ids=["fp32", "fp16"])
def dtype(request) -> torch.dtype:
    """Types that the interpreter computes rightly (bfloat16 is not among them)."""
    return request.param


@pytest.fixture(scope="session")
def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
