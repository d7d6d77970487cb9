"""The rename tables of CHANGELOG.md lead to names that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("accel", "agents", "kernels", "li_env")
ROW = re.compile(r"^\| (?P<old>.*?) \| (?P<new>.*) \|$", re.MULTILINE)


def new_names() -> list[str]:
    """List the names in backticks of the tables' second columns.

    A row of a whole folder, ``old.*``, says after a semicolon which modules changed their names, as ``olds: news``.
    """
    release = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## ")[1]
    found: set[str] = set()
    for row in ROW.finditer(release):
        for part in row["new"].split("; ") if row["old"] != "0.1" else []:
            new = part.rpartition(": ")[2] if ".*`" in row["old"] else part
            found |= set(re.findall(r"`([^`]+)`", new))
    return sorted(found)


@cache
def modules() -> tuple[str, ...]:
    """List the dotted names of modules and packages."""
    files = [path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    parts = {file.with_suffix("").parts for file in files} | {file.parent.parts for file in files}
    return tuple("." + ".".join(each if each[0] == "li_env" else ("li_env", *each)) for each in parts)


@cache
def defined() -> frozenset[str]:
    """Collect the names of functions, classes, constants and attributes of classes."""
    found: set[str] = set()
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    found.add(node.name)
                elif isinstance(node, ast.Assign | ast.AnnAssign):
                    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                    found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(found)


def exists(name: str) -> bool:
    """Look a name up: a path, a module (also by its last parts), or a definition."""
    name = re.sub(r"\(.*\)$|\.\*$", "", name)
    if "/" in name:
        return (ROOT / name).exists()
    return any(module.endswith(f".{name}") for module in modules()) or set(name.split(".")) <= defined()


@pytest.mark.parametrize("name", new_names())
def test_new_name_exists(name: str) -> None:
    assert exists(name)


def test_a_name_that_is_gone_is_noticed() -> None:
    assert exists("accel.device") and exists("Engine.step_async") and exists("tests/reference")
    assert not any(map(exists, ("accel.transfer", "WaitingRoom", "Engine.no_such_step", "tests/no_such_folder")))
