"""The examples run as they stand, on the small test world under the name of the real one."""

from __future__ import annotations

import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from li_env.doom.splits import TRAINING
from li_env.recording import write_png
from li_env.worlds import registry
from tests.analytic_world import SPEC, AnalyticWorld

EXAMPLES = Path(__file__).parents[2] / "examples"


RUNS = {
    # example: (words of its command line, file that it writes below outputs/)
    "step_env": ("", "step_env/episode-0.mp4"),
    "custom_image": ("picture.png", "custom_image.png"),
    "save_restore": ("", None),
    "point_goal": ("", None),
    "train_ppo": ("--world freedoom_game --maps 2 --steps 160 --num-envs 2 --horizon 20", "train_ppo/curve.png"),
    "vector_rollouts": ("", None),
    "collect_dataset": ("--episodes 3 --batch 2 --world freedoom", "dataset/lerobot/meta/info.json"),
    "compare_presets": ("--chunks 5", "compare/side_by_side.mp4"),
    "grounded_place": ("--spacing 9 --headings 4 --actions 2", "grounded/game_world_scan.mp4"),
}


def test_none_is_forgotten():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(RUNS)


def test_an_agent_is_not_trained_on_the_maps_that_it_is_tested_on(tmp_path, monkeypatch):
    """Build episodes as `train_ppo` does without ``--dataset``: their maps are in the training split."""
    pytest.importorskip("vizdoom", reason="needs the extra doom")
    monkeypatch.chdir(tmp_path)
    words = "--world freedoom_game --maps 1 --steps 4 --num-envs 2 --horizon 2"
    monkeypatch.setattr(sys, "argv", ["train_ppo", *words.split()])
    given = runpy.run_path(str(EXAMPLES / "train_ppo.py"), run_name="__main__")
    played = given["env"].unwrapped.task.dataset
    assert {episode.map_seed for episode in played.episodes} <= set(TRAINING)
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--dataset", "none.json"])
    with pytest.raises(ValueError, match=r"none\.json"):
        runpy.run_path(str(EXAMPLES / "train_ppo.py"), run_name="__main__")


@pytest.mark.parametrize("name", RUNS)
def test_runs_from_top_to_bottom(name, tmp_path, monkeypatch, capsys):
    words, output = RUNS[name]
    spec = SPEC
    if name == "collect_dataset":
        pytest.importorskip("pyarrow", reason="needs the extra data")
        spec = replace(SPEC, fps=8.0)  # LeRobot knows whole frames per second only
    if name == "grounded_place" or "freedoom_game" in words:
        pytest.importorskip("vizdoom", reason="needs the extra doom")
    entry = registry.WorldEntry("freedoom", lambda device, weights: AnalyticWorld(device, spec), "stub")
    registry.world_names()
    monkeypatch.setitem(registry._registered, "freedoom", entry)
    monkeypatch.setattr(registry, "_loaded", {})
    monkeypatch.chdir(tmp_path)
    write_png("picture.png", np.full((64, 64, 3), 120, np.uint8))
    monkeypatch.setattr(sys, "argv", [name, *words.split()])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert capsys.readouterr().out.count("\n") >= 1
    if output is not None:
        assert (tmp_path / "outputs" / output).stat().st_size > 0
