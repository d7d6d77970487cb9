from __future__ import annotations

import pytest
import torch
from gymnasium import spaces

from li_env.agents.ppo.action_history import HISTORY
from li_env.agents.ppo.config import PPOConfig
from li_env.agents.ppo.learner import PPOLearner
from li_env.agents.ppo.networks import NavigationNet
from li_env.agents.ppo.rollout import Rollout, estimate_advantages
from tests.agents.ppo.test_networks import FRAME, GOAL, MACRO, observed


def test_advantages_against_hand_values():
    """Two steps, an end after the first in the second environment; gamma 0.5, lambda 0.5."""
    rewards = torch.tensor([[1.0, 1.0], [2.0, 2.0]])
    values = torch.tensor([[0.5, 0.5], [1.0, 1.0]])
    ends = torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    found = estimate_advantages(rewards, values, torch.tensor([4.0, 4.0]), ends, 0.5, 0.5)
    # second step: 2 + 0.5 * 4 - 1 = 3; first: 1 + 0.5 * 1 - 0.5 + 0.25 * 3 = 1.75, or 1 - 0.5 at an end
    torch.testing.assert_close(found, torch.tensor([[1.75, 0.5], [3.0, 3.0]]))


def rollout(net: NavigationNet, good: int) -> Rollout:
    """Steps in which macro action ``good`` is better than the others."""
    seen = observed(4, 8)
    with torch.no_grad():
        answer = net(seen, net.start(8), torch.zeros(4, 8))
        chances = answer.logits.log_softmax(-1)
        indices = torch.arange(32).reshape(4, 8) % 9
        log_probs = chances.gather(-1, indices[..., None])[..., 0]
    bumps = (indices == 0).float()
    return Rollout(
        seen, torch.zeros(4, 8), net.start(8), indices, log_probs, answer.values, bumps, (indices == good).float()
    )


@pytest.mark.parametrize("recurrent", [False, True])
def test_an_update_makes_what_was_good_more_likely(recurrent):
    torch.manual_seed(0)
    net = NavigationNet(spaces.Dict({"rgb": FRAME, "pointgoal": GOAL}), MACRO, recurrent)
    config = PPOConfig(worlds=8, horizon=4, batch_size=16, epochs=4, bump_weight=1.0, recurrent=recurrent)
    steps = rollout(net, good=3)
    learner = PPOLearner(net, config)
    first = learner.update(steps, 0.0, torch.Generator().manual_seed(0))
    with torch.no_grad():
        after = net(steps.observations, steps.hidden, steps.starts).logits.softmax(-1)
    assert after[..., 3].mean() > 1.5 / 9
    second = learner.update(steps, 0.5, torch.Generator().manual_seed(0))
    assert second["bump_loss"] < first["bump_loss"]
    assert learner.optimizer.param_groups[0]["lr"] == 0.5 * config.learning_rate


def test_numbers_that_are_not_finite_are_found():
    net = NavigationNet(spaces.Dict({"rgb": FRAME, "pointgoal": GOAL}), MACRO, recurrent=False)
    steps = rollout(net, good=3)
    steps.observations[HISTORY][0, 0, 0] = float("inf")
    with pytest.raises(FloatingPointError, match="loss nan"):
        PPOLearner(net, PPOConfig(worlds=8, horizon=4)).update(steps, 0.0, torch.Generator())
