"""The Python of the pages runs as it stands, on the small test world under the name of the real one."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import gymnasium
import pytest

from li_env.worlds import registry
from tests.analytic_world import AnalyticWorld

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("acceleration", "extending", "learning", "quickstart")
MOST_LINES = 40
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks() -> list[object]:
    found = []
    for page in PAGES:
        text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
        found += [pytest.param(code, id=f"{page}-{number}") for number, code in enumerate(PYTHON.findall(text))]
    return found


@pytest.fixture
def small_world(monkeypatch, tmp_path):
    entry = registry.WorldEntry("freedoom", lambda device, weights: AnalyticWorld(device), "stub")
    registry.world_names()
    monkeypatch.setitem(registry._registered, "freedoom", entry)
    monkeypatch.setattr(registry, "_loaded", {})
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("block", blocks())
@pytest.mark.usefixtures("small_world")
def test_block_runs(block, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    path = tmp_path / "block.py"  # a file of its own: Triton reads the source of its kernels
    path.write_text(block, encoding="utf-8")
    runpy.run_path(str(path), run_name="__main__")


def test_blocks_are_short():
    for block in blocks():
        assert block.values[0].count("\n") <= MOST_LINES, block.id


@pytest.mark.usefixtures("small_world")
def test_pages_name_keys_of_info_that_exist():
    env = gymnasium.make("LightInteraction/PointGoal-v0", world="freedoom")
    _, info = env.reset(seed=0)
    for page in DOCS.rglob("*.md"):
        named = set(re.findall(r"info\[[\"'](\w+)[\"']\]", page.read_text(encoding="utf-8")))
        assert named <= {*info, "plan", "seen_area", "red"}, page.name
