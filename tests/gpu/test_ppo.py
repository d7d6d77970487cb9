"""PPO with the policy on a GPU: beside the learned world, and with the world on the host."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from li_env.agents.macro_actions import MacroActions
from li_env.agents.ppo import gradient_steps
from li_env.agents.ppo.config import PPOConfig
from li_env.agents.ppo.learner import PPOLearner
from li_env.agents.ppo.macro_env import MacroActionEnvs
from li_env.agents.ppo.networks import NavigationNet
from li_env.agents.ppo.rollout import Rollout
from li_env.agents.ppo.train import train
from li_env.tensor_files import read_tensors
from li_env.vector_env import LightInteractionVectorEnv
from tests.agents.ppo.test_learner import rollout
from tests.agents.ppo.test_networks import FRAME, GOAL, MACRO
from tests.analytic_world import AnalyticWorld

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

TINY = PPOConfig(
    preset="all", steps=64, worlds=4, horizon=4, batch_size=8, epochs=1, max_episode_steps=5, saves=2, snapshots=1,
    recurrent=True, symmetric=True, colours=0.2, bump_weight=0.1,
)  # fmt: skip


@pytest.mark.parametrize("task", ["pointgoal", "explore"])
def test_a_training_in_the_learned_world_runs_and_goes_on(task, tmp_path):
    config = replace(TINY, task=task)
    train(replace(config, steps=32), tmp_path, device="cuda")
    train(config, tmp_path, device="cuda")
    assert json.loads((tmp_path / "agent.json").read_text())["steps"] == 64
    steps = [json.loads(line)["steps"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == [16, 32, 48, 64]
    assert all(bool(torch.isfinite(each).all()) for each in read_tensors(tmp_path / "policy.safetensors").values())


def test_frames_stay_on_the_device():
    env = LightInteractionVectorEnv(
        2, max_episode_steps=3, autoreset_mode="Disabled", device_obs=True, action_space="continuous",
        observation="frame", task="pointgoal", device="cuda",
    )  # fmt: skip
    envs = MacroActionEnvs(env, MacroActions(env.single_action_space, True), torch.device("cuda"), colours=0.1)
    seen = [envs.reset(0), envs.step(torch.tensor([0, 1], device="cuda")).observations]
    seen.append(envs.restart(np.array([True, False])))
    assert all(each.device.type == "cuda" for observations in seen for each in observations.values())


def test_a_world_on_the_host_teaches_a_policy_on_the_device(tmp_path):
    train(replace(TINY, world="analytic"), tmp_path, world=AnalyticWorld(), device="cuda")
    assert json.loads((tmp_path / "agent.json").read_text())["steps"] == 64


@pytest.mark.parametrize("recurrent", [False, True])
def test_captured_gradient_steps_are_those_that_are_not(recurrent, monkeypatch):
    config = PPOConfig(worlds=8, horizon=4, batch_size=12, epochs=4, bump_weight=0.1, recurrent=recurrent)

    def learned(eager_steps: int) -> tuple[list[dict[str, float]], torch.Tensor, int]:
        monkeypatch.setattr(gradient_steps, "_EAGER_STEPS", eager_steps)
        torch.manual_seed(0)
        net = NavigationNet(spaces.Dict({"rgb": FRAME, "pointgoal": GOAL}), MACRO, recurrent, symmetric=True)
        steps = on_gpu(rollout(net, good=3))
        learner = PPOLearner(net.to("cuda"), config)
        # Learning rate and weight of the entropy are others after the capture.
        log = [learner.update(steps, progress, torch.Generator().manual_seed(0)) for progress in (0.0, 0.5, 1.0)]
        weights = torch.cat([each.detach().flatten() for each in net.parameters()])
        return log, weights, len(learner._steps._captured)

    (plain, weights, none), (captured, others, shapes) = learned(10**9), learned(3)
    assert none == 0
    assert shapes == 2, "batches of three and of two environments"
    for one, other in zip(plain, captured, strict=True):
        assert other == pytest.approx(one, rel=0.02, abs=1e-3)
    assert (weights - others).abs().mean() < 1e-4


def on_gpu(steps: Rollout) -> Rollout:
    """Move the steps to the GPU."""
    parts = {name: value.cuda() for name, value in vars(steps).items() if name != "observations"}
    return Rollout(observations={name: each.cuda() for name, each in steps.observations.items()}, **parts)
