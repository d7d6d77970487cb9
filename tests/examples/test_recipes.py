"""The recipes run as they stand, a few steps each in the fast twin of the learned world."""

from __future__ import annotations

import importlib.util
import re
import runpy
import sys
from pathlib import Path

import gymnasium
import pytest

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "examples" / "recipes"
RUNS = {
    "sb3_ppo": ("stable_baselines3", "--steps 64 --num-envs 2", r"64 steps, the last \d+ episodes: mean return"),
    "cleanrl_ppo": ("torch", "--steps 16 --num-envs 2 --horizon 4", r"16 steps, mean reward per step \d"),
    "torchrl_rollout": ("torchrl", "--steps 16 --num-envs 2 --horizon 4", r"16 steps, mean reward per step \d"),
    "minari_dataset": ("minari", "--episodes 2", r"2 episodes, \d+ steps\nposes of the first episode: \(\d+, 4, 4\)"),
    # Ray alone is there for collecting datasets: RLlib needs dm-tree besides.
    "rllib_ppo": ("tree", "--iterations 1 --batch 8", "iteration 0: mean return"),
}


def test_every_recipe_is_run_and_on_the_page():
    names = {path.stem for path in RECIPES.glob("*.py")}
    assert names == set(RUNS)
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert set(re.findall(r"recipes/(\w+)\.py", page)) == names
    assert "freedoom_game" in page


@pytest.fixture
def nothing_registered(monkeypatch):
    """Take the environments back, as in a new process: a recipe must import what registers them."""
    for name in [name for name in gymnasium.registry if name.startswith("LightInteraction/")]:
        monkeypatch.delitem(gymnasium.registry, name)
    monkeypatch.delitem(sys.modules, "li_env", raising=False)


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.usefixtures("nothing_registered")
def test_recipe_runs(name, tmp_path, monkeypatch, capsys):
    pytest.importorskip("vizdoom")
    library, words, expected = RUNS[name]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"needs {library}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setattr(sys, "argv", [name, "--world", "freedoom_game", *words.split()])
    runpy.run_path(str(RECIPES / f"{name}.py"), run_name="__main__")
    assert re.search(expected, capsys.readouterr().out)
