"""A process forked after a world has run computes, and refuses a GPU that it cannot use."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from li_env.accel.config import AccelConfig
from li_env.accel.runtime import forks
from li_env.accel.runtime.engine import Engine
from tests.analytic_world import AnalyticWorld

COMPUTE = """
import os, torch
import li_env.accel.runtime.engine
def compute():
    (torch.randn(300, 300) @ torch.randn(300, 300)).exp().sum()
    torch.nn.functional.conv2d(torch.randn(8, 16, 64, 64), torch.randn(16, 16, 3, 3)).sum()
torch.set_num_threads(2)
compute()
child = os.fork()
if not child:
    compute()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), torch.get_num_threads())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_computes_after_its_parent_has():
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, "-c", COMPUTE]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["7", "2"]


def test_a_gpu_used_before_the_fork_is_refused_in_words(monkeypatch):
    world = AnalyticWorld()
    engine = Engine(world, AccelConfig())
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(forks, "_users", set())
    forks._before()
    world.device = torch.device("cuda", 0)
    forks.refuse_lost_gpu(world.device)  # the process that forks goes on
    monkeypatch.setattr(os, "getpid", lambda: -1)
    forks.refuse_lost_gpu(torch.device("cpu"))
    for begin in (lambda: engine.start([], [], []), lambda: engine.step([], [])):
        with pytest.raises(RuntimeError, match="'cuda:0' was in use before .* 'spawn' or 'forkserver'"):
            begin()
