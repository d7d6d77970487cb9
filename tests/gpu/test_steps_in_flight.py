"""Steps of several environments in flight on one GPU: nothing that they return may differ from steps in turn."""

from __future__ import annotations

import pytest
import torch

from li_env.agents.macro_actions import MacroActions
from li_env.agents.ppo.macro_env import MacroActionEnvs
from li_env.agents.ppo.policy import build_policy
from li_env.agents.ppo.rollout import Collector
from li_env.vector_env import LightInteractionVectorEnv
from li_env.worlds.common.cuda_graphs import Graphs
from li_env.worlds.registry import load_world

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

STEPS = 7


@pytest.fixture(params=["default stream", "urgent stream"])
def stream(request):
    chosen = torch.cuda.default_stream() if request.param == "default stream" else torch.cuda.Stream(priority=-1)
    with torch.cuda.stream(chosen):
        yield chosen
    torch.cuda.synchronize()


@pytest.mark.parametrize("preset", ["off", "all"])
@pytest.mark.parametrize("on_device", [True, False])
def test_frames_of_halves_in_flight_are_those_of_halves_in_turn(preset, on_device, stream):
    """Step halves of 72 envs: two micro-batches each, of which the second is padded."""

    def halves() -> list[LightInteractionVectorEnv]:
        found = [
            LightInteractionVectorEnv(
                72, max_episode_steps=5, autoreset_mode="SameStep", world=world, preset=preset, device_obs=on_device
            )
            for _ in range(2)
        ]
        for number, half in enumerate(found):
            half.reset(seed=100 * number)
        return found

    world, path = load_world("freedoom", device="cuda"), torch.randint(0, 9, (STEPS, 2, 72)).numpy()
    turns, flights, expected, seen = halves(), halves(), [], []
    for row in path:
        expected.append([half.step(actions)[:4] for half, actions in zip(turns, row, strict=True)])
    for step, row in enumerate(path):
        for half, actions in zip(flights, row, strict=True):
            if step:
                seen.append(half.step_wait()[:4])
            half.step_async(actions)
    seen += [half.step_wait()[:4] for half in flights]
    for ours, theirs in zip(seen, [each for both in expected for each in both], strict=True):
        for one, two in zip(ours, theirs, strict=True):
            assert torch.equal(torch.as_tensor(one), torch.as_tensor(two))


def test_rollouts_in_flight_are_those_of_groups_in_turn(monkeypatch, stream):
    begin, finish = LightInteractionVectorEnv.step_async, LightInteractionVectorEnv.step_wait

    def rollout():
        world = load_world("freedoom", device="cuda")
        envs = [
            LightInteractionVectorEnv(
                40, max_episode_steps=4, autoreset_mode="Disabled", device_obs=True, action_space="continuous",
                observation="frame", task="pointgoal", world=world, preset="all",
            )
            for _ in range(2)
        ]  # fmt: skip
        macro_actions, device = MacroActions(envs[0].single_action_space, True), torch.device("cuda")
        torch.manual_seed(0)
        net = build_policy(envs[0].single_observation_space, macro_actions, recurrent=True, symmetric=True).to(device)
        collector = Collector(net, [MacroActionEnvs(env, macro_actions, device) for env in envs], 0.97, 0.95, 0.1)
        collector.begin(0)
        return collector.collect(10, torch.Generator(device).manual_seed(0))

    in_flight, done = rollout(), {}

    def whole(env, actions):
        begin(env, actions)
        done[env] = finish(env)

    def told(env):
        return done.pop(env)

    monkeypatch.setattr(LightInteractionVectorEnv, "step_async", whole)
    monkeypatch.setattr(LightInteractionVectorEnv, "step_wait", told)
    in_turn = rollout()
    assert torch.equal(in_flight.indices, in_turn.indices)
    for name, each in in_flight.observations.items():
        assert torch.equal(each, in_turn.observations[name]), name
    assert torch.equal(in_flight.advantages, in_turn.advantages)


def test_graphs_of_two_streams_do_not_share_memory():
    """Replay one long graph on two streams at the same time, with different inputs."""
    graphs, streams = Graphs(torch.device("cuda")), [torch.cuda.Stream(), torch.cuda.Stream(priority=-1)]
    torch.manual_seed(0)
    weights = [torch.randn(2048, 2048, device="cuda", dtype=torch.bfloat16) / 45 for _ in range(24)]

    def deep(x: torch.Tensor) -> torch.Tensor:
        for weight in weights:
            x = torch.tanh(x @ weight)
        return x

    inputs = [torch.randn(64, 2048, device="cuda", dtype=torch.bfloat16) for _ in streams]
    torch.cuda.synchronize()
    found: list[list[torch.Tensor]] = [[], []]
    for _ in range(20):
        for stream, own, outputs in zip(streams, inputs, found, strict=True):
            with torch.cuda.stream(stream):
                outputs.append(graphs.run("deep", deep, own))
    torch.cuda.synchronize()
    for outputs, other in zip(found, reversed(found), strict=True):
        assert all(torch.equal(each, outputs[0]) for each in outputs)
        assert not torch.equal(outputs[0], other[0])
