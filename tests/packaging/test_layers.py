"""The contracts on layers and cycles must be able to fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ADDITIONS = {
    "accel knows the environment": ("accel/plan.py", "import li_env.env"),
    "kernels know accel": ("kernels/__init__.py", "import li_env.accel.plan"),
    "the environment knows agents": ("li_env/env.py", "import li_env.agents"),
    "a module without a layer": ("li_env/newcomer.py", "import li_env.env"),
    "a cycle inside a layer": ("li_env/state.py", "import li_env.frames"),
    "a cycle that the type checker alone sees": (
        "accel/retrieval/base.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import li_env.accel.retrieval.candidates",
    ),
}


@pytest.mark.parametrize("addition", [None, *ADDITIONS])
def test_a_forbidden_import_is_found(addition, tmp_path):
    for name in ("li_env", "accel", "kernels", "agents", "configs"):
        ignore = shutil.ignore_patterns("data", "__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    if addition is not None:
        path, line = ADDITIONS[addition]
        with (tmp_path / path).open("a") as file:
            file.write(f"\n{line}\n")
    code = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (addition is None), done.stdout + done.stderr
