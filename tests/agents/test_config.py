from __future__ import annotations

import subprocess
import sys
from importlib.resources import files

import pytest

from li_env.agents.config import read_config
from li_env.agents.ppo.config import PPOConfig

REFUSED = """
import sys
from li_env.cli import main
assert main(["train", "agent", "--config", sys.argv[1], "--out", "never"]) == 2
assert "torch" not in sys.modules
"""


def test_a_mistake_is_answered_without_torch(tmp_path):
    path = tmp_path / "agent.yaml"
    for text in ("horizon: 0", "agent: mapper\nrandom: 2"):
        path.write_text(text)
        done = subprocess.run([sys.executable, "-c", REFUSED, path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "is not allowed" in done.stderr


@pytest.mark.parametrize("name", ["open", "detour", "imagegoal", "explore"])
def test_the_shipped_settings_of_ppo_are_read(name):
    config = read_config(files("li_env.configs") / "agents" / f"ppo_{name}.yaml")
    assert config.task == {"open": "pointgoal", "detour": "pointgoal"}.get(name, name)
    assert config.symmetric and config.recurrent == (name != "open")
    assert config.max_episode_steps >= 16


def test_environments_in_flight_are_groups_of_nearly_one_size():
    assert PPOConfig(worlds=5).groups == (5,)
    assert PPOConfig(worlds=5, in_flight=2).groups == (3, 2)
    assert PPOConfig(worlds=1, in_flight=2).groups == (1,)
    assert PPOConfig(worlds=8, in_flight=3).groups == (3, 3, 2)
    with pytest.raises(ValueError, match="in_flight=0 is not allowed; use a whole number from 1 up"):
        PPOConfig(in_flight=0)
