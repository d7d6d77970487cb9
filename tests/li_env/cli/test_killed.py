"""A real SIGKILL anywhere: what is there is whole, and the same command goes on or begins again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("command", "points"), [("rollout", 5), ("evaluate agent", 4), ("train agent", 4), ("train world", 4)]
)
def test_a_killed_command_goes_on_or_begins_again(command, points, tmp_path):
    words = [sys.executable, "-m", "tests.li_env.cli.kill_points", command, tmp_path, str(points)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.rpartition("MISTAKES")[2].strip() == "", done.stdout[-3000:] + done.stderr[-2000:]
