"""Promises of the files around the code."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

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
