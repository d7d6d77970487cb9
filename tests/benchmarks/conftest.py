"""Scripts of the benchmarks folder as modules, with that folder in front of the path as when they are run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for name in list(sys.modules):
        if name == "provenance" or name.startswith(("figure", "ppo_")):
            monkeypatch.delitem(sys.modules, name)
