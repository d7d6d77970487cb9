from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces

from li_env.agents.macro_actions import MacroActions
from li_env.agents.ppo.action_history import HISTORY, history_space
from li_env.agents.ppo.mirror import mirrored
from li_env.agents.ppo.networks import GAINS, NavigationNet

MACRO = MacroActions(spaces.Box(-1.0, 1.0, (4,), np.float32), True)
FRAME = spaces.Box(0, 255, (96, 128, 3), np.uint8)
GOAL = spaces.Box(-np.inf, np.inf, (2,), np.float32)


def observed(steps: int, episodes: int, names=("rgb", "pointgoal")) -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    every = {
        "rgb": torch.randint(0, 256, (steps, episodes, 96, 128, 3), dtype=torch.uint8, generator=draws),
        "imagegoal": torch.randint(0, 256, (steps, episodes, 96, 128, 3), dtype=torch.uint8, generator=draws),
        "pointgoal": torch.randn(steps, episodes, 2, generator=draws),
    }
    history = torch.randn(steps, episodes, *history_space(MACRO).shape, generator=draws)
    return {**{name: every[name] for name in names}, HISTORY: history}


@torch.no_grad()
def test_a_memory_begins_anew_with_an_episode():
    torch.manual_seed(0)
    net = NavigationNet(spaces.Dict({"rgb": FRAME, "pointgoal": GOAL}), MACRO, recurrent=True)
    seen = observed(4, 2)
    starts = torch.zeros(4, 2)
    starts[2, 0] = 1
    whole = net(seen, net.start(2), starts)
    second = net({name: each[2:] for name, each in seen.items()}, net.start(2), torch.zeros(2, 2))
    torch.testing.assert_close(whole.logits[2:, 0], second.logits[:, 0])
    assert not torch.allclose(whole.logits[2:, 1], second.logits[:, 1], atol=1e-6)
    one_by_one, hidden = [], net.start(2)
    for step in range(4):
        answer = net({name: each[step : step + 1] for name, each in seen.items()}, hidden, starts[step : step + 1])
        one_by_one.append(answer.values[0])
        hidden = answer.hidden
    torch.testing.assert_close(torch.stack(one_by_one), whole.values)
    torch.testing.assert_close(hidden, whole.hidden)


@torch.no_grad()
def test_without_a_memory_steps_do_not_matter_to_each_other():
    net = NavigationNet(spaces.Dict({"rgb": FRAME, "imagegoal": FRAME}), MACRO, recurrent=False)
    seen = observed(3, 2, ("rgb", "imagegoal"))
    whole = net(seen, net.start(2), torch.zeros(3, 2))
    assert whole.hidden.shape == (2, 0)
    last = net({name: each[2:] for name, each in seen.items()}, net.start(2), torch.zeros(1, 2))
    torch.testing.assert_close(whole.logits[2:], last.logits)
    other = {**seen, "imagegoal": 255 - seen["imagegoal"]}
    assert not torch.allclose(net(other, net.start(2), torch.zeros(3, 2)).values, whole.values)


@torch.no_grad()
def test_gains_are_factors_of_the_colours():
    net = NavigationNet(spaces.Dict({"rgb": FRAME, "pointgoal": GOAL}), MACRO, recurrent=False)
    seen = observed(1, 2)
    plain = net(seen, net.start(2), torch.zeros(1, 2))
    kept = net({**seen, GAINS: torch.ones(1, 2, 3)}, net.start(2), torch.zeros(1, 2))
    torch.testing.assert_close(kept.values, plain.values)
    dark = net({**seen, GAINS: torch.zeros(1, 2, 3)}, net.start(2), torch.zeros(1, 2))
    black = net({**seen, "rgb": torch.zeros_like(seen["rgb"])}, net.start(2), torch.zeros(1, 2))
    torch.testing.assert_close(dark.values, black.values)


@torch.no_grad()
def test_a_symmetric_policy_does_to_the_left_what_it_does_to_the_right():
    torch.manual_seed(0)
    net = NavigationNet(spaces.Dict({"rgb": FRAME, "pointgoal": GOAL}), MACRO, recurrent=True, symmetric=True)
    torch.nn.init.orthogonal_(net.policy.weight)
    seen, starts = observed(3, 2), torch.tensor([[1.0, 1.0], [0.0, 0.0], [0.0, 1.0]])
    other = torch.as_tensor(MACRO.mirrored())
    here, there = (net(each, net.start(2), starts) for each in (seen, mirrored(seen, other)))
    torch.testing.assert_close(there.logits, here.logits[..., other])
    torch.testing.assert_close(there.bumps, here.bumps[..., other])
    torch.testing.assert_close(there.values, here.values)
    assert not torch.allclose(here.logits, here.logits[..., other], atol=1e-3), (
        "left and right are told from each other"
    )
