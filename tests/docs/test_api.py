"""docs/api.md names what exists, and pages, README and examples use nothing else."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import li_env

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
ROWS = [line.split("|")[1:3] for line in PAGE.split("## Modules")[1].splitlines() if line.startswith("| `li_env.")]
PUBLIC = {module.strip(" `"): set(re.findall(r"`(\w+)`", names)) for module, names in ROWS}
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
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "li_env":
            found.append(("li_env", node.attr))
    return found


def test_the_page_describes_every_public_name():
    described = set(re.findall(r"^\| `(\w+)` \|", PAGE.split("## Modules")[0], re.MULTILINE))
    assert described == set(li_env.__all__)


def test_every_name_of_the_page_exists():
    for module, names in PUBLIC.items():
        for name in names:
            assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


@pytest.mark.parametrize("code", sources())
def test_only_public_names_are_used(code):
    for module, name in imported(code):
        allowed = {"", *li_env.__all__} if module == "li_env" else PUBLIC.get(module, set())
        assert name in allowed, f"{module}.{name} is not in docs/api.md"
