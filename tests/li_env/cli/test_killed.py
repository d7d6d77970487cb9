"""A real SIGKILL anywhere: what is there is whole, and the same command goes on or begins again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Find everything that went wrong, by command: one process imports for all of them."""
    words = [sys.executable, "-m", "tests.li_env.cli.kill_points", tmp_path_factory.mktemp("killed")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("command", ["rollout", "evaluate agent", "train agent", "train world"])
def test_a_killed_command_goes_on_or_begins_again(command, mistakes):
    assert mistakes[command] == []
