"""The examples run as they stand, on the small test world under the name of the real one."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from li_env.recording import write_png
from li_env.worlds import registry
from tests.analytic_world import AnalyticWorld

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_none_is_forgotten():
    names = {"step_env.py", "custom_image.py", "save_restore.py", "point_goal.py"}
    assert {path.name for path in EXAMPLES.glob("*.py")} == names


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("step_env", "step_env/episode-0.mp4"),
        ("custom_image", "custom_image.png"),
        ("save_restore", None),
        ("point_goal", None),
    ],
)
def test_runs_from_top_to_bottom(name, output, tmp_path, monkeypatch, capsys):
    entry = registry.WorldEntry("freedoom", lambda device, weights: AnalyticWorld(device), "stand-in")
    registry.world_names()
    monkeypatch.setitem(registry._registered, "freedoom", entry)
    monkeypatch.setattr(registry, "_loaded", {})
    monkeypatch.chdir(tmp_path)
    write_png("picture.png", np.full((64, 64, 3), 120, np.uint8))
    monkeypatch.setattr(sys, "argv", [name, "picture.png"])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert capsys.readouterr().out.count("\n") >= 1
    if output is not None:
        assert (tmp_path / "outputs" / output).stat().st_size > 0
