"""docs/api.md names what exists, and pages, README and examples use nothing else."""

from __future__ import annotations

import ast
import re
from dataclasses import MISSING, fields
from pathlib import Path

import numpy as np
import pytest

import li_env
from li_env import tools
from li_env.episodes import START_OPTIONS
from tests.analytic_world import AnalyticWorld

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
NAMES, TOOLS = PAGE.split("## `li_env.tools`")
TOOLS = TOOLS.split("\n## ")[0]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def sources() -> list[object]:
    found = [pytest.param(path.read_text(encoding="utf-8"), id=path.name) for path in (ROOT / "examples").rglob("*.py")]
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        blocks = BLOCK.findall(path.read_text(encoding="utf-8"))
        found += [pytest.param(code, id=f"{path.name}-{number}") for number, code in enumerate(blocks)]
    return found


def imported(code: str) -> list[tuple[str, str]]:
    """(module, name) of everything that code takes from this package; the name is empty for a whole module."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "li_env":
            found += [(node.module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names if alias.name.split(".")[0] == "li_env"]
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("li_env", "tools", "li_env.tools"):
            found.append((ast.unparse(node.value).rpartition(".")[2], node.attr))
    return found


def first_cells(text: str) -> list[str]:
    """List the names in backticks of the first column of tables, in order."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [name for cell in rows for name in re.findall(r"`(\w+)`", cell)]


def test_the_page_describes_every_public_name_once():
    assert sorted(first_cells(NAMES)) == sorted(li_env.__all__)
    assert sorted(first_cells(TOOLS)) == sorted(li_env.tools.__all__)


@pytest.mark.parametrize("code", sources())
def test_only_public_names_are_used(code):
    """Look at what is imported from this package, and at attributes of `li_env` and of `tools`; nothing is excepted."""
    for module, name in imported(code):
        assert module in ("li_env", "tools"), f"{module} is not public: import names of li_env"
        allowed = li_env.__all__ if module == "li_env" else li_env.tools.__all__
        assert not name or name in allowed, f"{module}.{name} is not in docs/api.md"


@pytest.mark.parametrize(
    "code",
    ["import li_env.env", "from li_env.sb3 import SB3VecEnv", "from li_env import env", "from li_env import *",
     "import li_env\nli_env.cli.main()", "from li_env import tools\ntools.cv2", "import li_env\nli_env.tools.cv2"],
)  # fmt: skip
def test_other_names_are_noticed(code):
    with pytest.raises(AssertionError):
        test_only_public_names_are_used(code)


TASKS = ("explore", "pointgoal")
SHAPES = {"4, 4": (4, 4), "T, 4, 4": (4, 4, 4), "T": (4,), "3, 3": (3, 3), "n, 4, 4": (4, 4, 4), "n, 4": (4, 4),
          "2": (2,)}  # fmt: skip


def info_rows() -> dict[str, str]:
    """Type and shape by key, as the page has them."""
    found = {}
    for line in PAGE.split("## What `info` holds")[1].split("\n### ")[0].splitlines():
        if line.startswith("| `"):
            keys, kinds = (re.findall(r"`(\w+)`", line.split("|")[1]), line.split("|")[2].strip())
            parts = re.split(r", (?![^\[]*\])", kinds)
            found |= dict(zip(keys, parts if len(parts) == len(keys) else parts * len(keys), strict=True))
    return found


def test_the_page_has_every_key_of_info_with_its_type_and_shape():
    rows, named = info_rows(), set()
    for task in TASKS:
        env = li_env.LightInteractionEnv(AnalyticWorld(), task=task, timings=True, plan_info=True)
        info = env.reset(seed=0)[1]
        named |= set(info)
        for key, value in info.items():
            kind, _, shape = rows[key].partition(" `[")
            if shape:
                assert (value.dtype.name, value.shape) == (kind, SHAPES[shape.strip("]`")]), key
            else:
                assert type(value).__name__ == kind, key
    assert named == set(rows)


def test_extending_has_every_field_of_a_world_spec_with_its_default():
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    table = page.split("### The fields of `WorldSpec`")[1].split("\n### ")[0]
    defaults = {
        name: default
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for default in [re.search(r"\((.*)\)", row)]
        for name in re.findall(r"`(\w+)`", row)
    }
    assert list(defaults) == [field.name for field in fields(li_env.WorldSpec)]
    for field in fields(li_env.WorldSpec):
        said = defaults[field.name]
        assert (MISSING if said is None else ast.literal_eval(said[1])) == field.default, field.name


def test_the_page_has_every_reset_option():
    table = PAGE.split("## What `reset` takes")[1].split("\n## ")[0]
    options = set(START_OPTIONS) | {"preset", "state"} | set(tools.PointGoal.options) | set(tools.ImageGoal.options)
    assert set(first_cells(table)) == options


def test_vector_infos_are_as_the_page_says():
    env = li_env.LightInteractionVectorEnv(3, world=AnalyticWorld(), task="pointgoal", autoreset_mode="SameStep")
    env.reset(seed=0)
    before = env.step([1, 1, 1])[0]
    observations, infos = env.reset(seed=9, options={"reset_mask": np.array([False, True, False])})
    assert infos["_chunk"].tolist() == [False, True, False]
    assert not infos["intrinsics"][[0, 2]].any() and infos["intrinsics"][1].any()
    np.testing.assert_array_equal(observations["rgb"][0], before["rgb"][0])
    infos = env.step([env.stop_action, 1, 1])[-1]
    assert [key for key in infos if "final" in key] == ["final_obs", "_final_obs", "final_info", "_final_info"]
    assert infos["final_obs"].dtype == object and infos["final_obs"][1] is None
    assert infos["_final_obs"].tolist() == infos["final_info"]["_num_steps"].tolist() == [True, False, False]
    assert (infos["final_info"]["num_steps"].tolist(), infos["num_steps"].tolist()) == ([2, 0, 0], [0, 1, 2])
    assert "final_obs" not in env.step([1, 1, 1])[-1]
