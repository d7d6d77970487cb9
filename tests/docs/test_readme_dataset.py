"""README's five lines from the installation to a DataLoader run as they stand, and what docs/datasets.md does next."""

from __future__ import annotations

import re
import runpy
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from li_env.cli import main
from li_env.worlds import registry
from tests.analytic_world import SPEC, AnalyticWorld

README = Path(__file__).parents[2] / "README.md"
PAGE = README.parent / "docs" / "datasets.md"
SECTION = re.compile(
    r"^## Data for imitation\n.*?^```\n(?P<shell>.*?)^```\n.*?^```python\n(?P<code>.*?)^```", re.S | re.M
)


def test_the_five_lines(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow", reason="needs the extra data")
    section = SECTION.search(README.read_text(encoding="utf-8"))
    assert section is not None
    install, collect = section["shell"].splitlines()
    assert (install, len(section["code"].splitlines())) == ("pip install '.[data]'", 3)
    registry.world_names()
    entry = registry.WorldEntry(
        "freedoom", lambda device, weights: AnalyticWorld(device, replace(SPEC, fps=8.0)), "stub"
    )
    monkeypatch.setitem(registry._registered, "freedoom", entry)
    monkeypatch.setattr(registry, "_loaded", {})
    monkeypatch.chdir(tmp_path)
    command, *words = shlex.split(collect.partition("#")[0])
    assert command == "li-env"
    assert main(words) == 0
    (tmp_path / "code.py").write_text(section["code"])
    loader = runpy.run_path("code.py")["loader"]
    batch = next(iter(loader))
    assert batch["observation.images.front"].shape[1:] == (3, 96, 128)
    assert len(batch["action"]) == len(batch["task"])
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.S | re.M)
    (tmp_path / "learn.py").write_text(code)
    learned = runpy.run_path("learn.py")
    assert len(learned["actions"]) == len(learned["frames"]) > 0
