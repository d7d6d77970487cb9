"""The Python of the pages runs as it stands, on the small test world under the name of the real one."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import gymnasium
import pytest

from li_env import tools
from li_env.worlds import registry
from tests.analytic_world import AnalyticWorld

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("acceleration", "extending", "learning", "quickstart", "recipes", "tasks", "vector_env")
MOST_LINES = 40
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks() -> list[object]:
    """List the blocks of the pages; those that read a recorded dataset are run by test_readme_dataset.py."""
    found = []
    for path in (DOCS.parent / "README.md", *(DOCS / f"{page}.md" for page in PAGES)):
        codes = PYTHON.findall(path.read_text(encoding="utf-8"))
        found += [
            pytest.param(code, id=f"{path.stem}-{number}")
            for number, code in enumerate(codes)
            if "RecordedDataset" not in code
        ]
    return found


@pytest.fixture
def small_world(monkeypatch, tmp_path):
    entry = registry.WorldEntry("freedoom", lambda device, weights: AnalyticWorld(device), "stub")
    registry.world_names()
    monkeypatch.setitem(registry._registered, "freedoom", entry)
    monkeypatch.setattr(registry, "_loaded", {})
    monkeypatch.chdir(tmp_path)


def train_and_build(monkeypatch):
    """Make the files that docs/tasks.md names: episodes on test maps, and the agent that its recipe writes."""
    assert tools.main(["build", "episodes", "--split", "test", "--maps", "1", "--out", "test.json"]) == 0
    words = "--world freedoom_game --dataset test.json --steps 64 --num-envs 2"
    monkeypatch.setattr(sys, "argv", ["sb3_ppo", *words.split()])
    runpy.run_path(str(DOCS.parent / "examples" / "recipes" / "sb3_ppo.py"), run_name="__main__")


@pytest.fixture
def same_policies(monkeypatch):
    """Take back the policies of memory that a page registers."""
    before = dict(tools.RETRIEVAL_POLICIES)
    monkeypatch.setitem(tools.CHOICES, "memory", tools.CHOICES["memory"])
    yield
    tools.RETRIEVAL_POLICIES.clear()
    tools.RETRIEVAL_POLICIES.update(before)


@pytest.mark.parametrize("block", blocks())
@pytest.mark.usefixtures("small_world", "same_policies")
def test_block_runs(block, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    if "freedoom_game" in block:
        pytest.importorskip("vizdoom", reason="needs the extra doom")
    if "test.json" in block:
        train_and_build(monkeypatch)
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
