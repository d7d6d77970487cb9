"""Promises of the files around the code."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TESTED_EXTRAS = ("dev", "doom", "play")


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def test_every_dependency_is_pinned_inside_its_range():
    extras = [entry for extra in TESTED_EXTRAS for entry in PROJECT["optional-dependencies"][extra]]
    for entry in [*PROJECT["dependencies"], *extras]:
        requirement = Requirement(entry)
        assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)]), entry


def test_torchvision_is_never_asked_for():
    asked = {canonicalize_name(Requirement(entry).name) for entry in PROJECT["dependencies"]}
    for entries in PROJECT["optional-dependencies"].values():
        asked |= {canonicalize_name(Requirement(entry).name) for entry in entries}
    assert not asked & {"torchvision", "lpips", "piq", "lerobot", "opencv-python"}
    assert "torchvision" not in pins()


def test_importing_the_package_registers_the_environments_and_loads_no_torch():
    code = (
        "import sys, gymnasium, li_env; assert 'torch' not in sys.modules; "
        "assert gymnasium.spec('LightInteraction/Explore-v0').entry_point == 'li_env.env:LightInteractionEnv'"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_version_is_stated_once():
    text = (ROOT / "li_env" / "__init__.py").read_text()
    assert re.search(r'__version__ = "(.*)"', text)[1] == PROJECT["version"]


def test_the_same_checker_before_a_commit_and_in_the_tests():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    (ruff,) = (repo["rev"] for repo in hooks if "ruff" in repo["repo"])
    assert ruff == f"v{pins()['ruff']}"


def test_the_workflow_runs_the_check_of_the_repository():
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    assert {"run": ".ci/run"} in workflow["jobs"]["test"]["steps"]


def test_the_citation_names_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["title"], citation["version"]) == (PROJECT["name"], PROJECT["version"])
    assert citation["license"] == PROJECT["license"]


def test_new_names_of_the_changelog_exist():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for new in (cell for line in text.splitlines() if (cells := line.split("|"))[3:] for cell in (cells[2],)):
        for name in re.findall(r"`((?:li_env|accel|agents)(?:\.\w+)+)`", new):
            path = ROOT / name.replace(".", "/")
            assert path.with_suffix(".py").exists() or path.is_dir(), name
    code = subprocess.run(
        ["git", "-C", ROOT, "grep", "-hE", "^(class |[A-Z][A-Za-z0-9]+ = )", "--", "*.py"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    if code:
        defined = set(re.findall(r"^(?:class )?(\w+)", code, re.MULTILINE))
        classes = text.split("### Renamed classes")[1].split("\n## ")[0]
        renamed = [line.split("|")[2] for line in classes.splitlines() if line.startswith("| `")]
        for name in re.findall(r"`(\w+)`", " ".join(renamed)):
            assert name in defined, name


def test_no_module_has_more_than_400_lines():
    names = subprocess.run(["git", "-C", ROOT, "ls-files", "*.py"], capture_output=True, text=True, check=False).stdout
    long = [name for name in names.split() if len((ROOT / name).read_text(encoding="utf-8").splitlines()) > 400]
    assert not long, f"more than 400 lines: {long}; split by meaning (CONTRIBUTING.md)"
