from __future__ import annotations

import numpy as np
import torch

from li_env.agents.base import Label
from li_env.agents.macro_actions import MACRO_ACTIONS
from li_env.agents.ppo.action_history import add_action, empty_history, mirrored_history
from li_env.agents.ppo.config import CloningConfig
from li_env.agents.ppo.dagger import clone
from li_env.agents.ppo.mirror import mirrored
from li_env.agents.ppo.policy import build_policy


class Compass:
    """Turns until the goal is ahead, then walks: all it needs is in the sensor."""

    def label(self, view) -> Label:
        return Label(self.choose(view), np.zeros(0))

    def choose(self, view) -> int:
        distance, bearing = view.observation["pointgoal"]
        if distance < 0.7:
            return 8
        if abs(bearing) > 0.6:
            return 4 if bearing < 0 else 5
        return 1


def test_the_learner_comes_to_agree_with_its_teacher(room, macro_actions):
    torch.manual_seed(0)
    policy = build_policy(room.observation_space, macro_actions)
    rounds = []
    config = CloningConfig(steps=8 * 16 * 10, worlds=8, horizon=16, epochs=5, batch_size=32, learning_rate=1e-3)
    clone(policy, macro_actions, room, Compass(), config, rounds.append)
    steps = [entry["steps"] for entry in rounds]
    assert all(0 <= made - asked < 8 * 32 for made, asked in zip(steps, range(128, 1281, 128), strict=True))
    assert rounds[-1]["loss"] < 0.5 * rounds[0]["loss"]
    # One round has 128 choices, and what is learned from the others depends on rounding: a mean of the last ones.
    agreement = np.mean([entry["agreement"] for entry in rounds[-3:]])
    assert agreement > 0.6 > rounds[0]["agreement"] + 0.3, [entry["agreement"] for entry in rounds]


def test_a_mirrored_batch_is_what_a_mirrored_world_would_show(macro_actions):
    rng, names = np.random.default_rng(0), list(MACRO_ACTIONS)
    frames, goals = rng.integers(0, 255, (2, 4, 6, 3), np.uint8), rng.normal(size=(2, 2)).astype(np.float32)
    history = rng.normal(size=(2, empty_history(macro_actions).size)).astype(np.float32)
    batch = {
        "rgb": torch.from_numpy(frames),
        "pointgoal": torch.from_numpy(goals),
        "history": torch.from_numpy(history),
    }
    other = torch.as_tensor(macro_actions.mirrored())
    once = mirrored(batch, other)
    twice = mirrored(once, other)
    for name, tensor in batch.items():
        assert torch.equal(twice[name], tensor)
        assert not torch.equal(once[name], tensor)
        assert once[name].dtype == tensor.dtype
    np.testing.assert_array_equal(once["rgb"], frames[:, :, ::-1])
    np.testing.assert_array_equal(once["pointgoal"][:, 0], goals[:, 0])
    left, right = (
        add_action(empty_history(macro_actions), {"pointgoal": np.array([3.0, bearing])}, index)
        for bearing, index in ((-0.5, names.index("turn_left")), (0.5, names.index("turn_right")))
    )
    turned = mirrored_history(torch.from_numpy(left.reshape(1, -1)), other)
    np.testing.assert_allclose(turned[0], right.ravel())
