from __future__ import annotations

import numpy as np
import torch

from li_env.agents.base import Label
from li_env.agents.macro_actions import MACRO_ACTIONS
from li_env.agents.ppo.action_history import mirrored_history, no_memory, remember
from li_env.agents.ppo.config import CloningConfig
from li_env.agents.ppo.dagger import _mirror, clone
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


def test_the_learner_comes_to_agree_with_its_teacher(room, moves):
    torch.manual_seed(0)
    policy = build_policy(room.observation_space, moves)
    rounds = []
    config = CloningConfig(steps=8 * 16 * 4, worlds=8, horizon=16, epochs=8, batch_size=32, learning_rate=1e-3)
    clone(policy, moves, room, Compass(), config, rounds.append)
    steps = [entry["steps"] for entry in rounds]
    assert all(0 <= made - asked < 8 * 32 for made, asked in zip(steps, (128, 256, 384, 512), strict=True))
    assert rounds[-1]["loss"] < 0.7 * rounds[0]["loss"]
    assert rounds[-1]["agreement"] > 0.45 > rounds[0]["agreement"] + 0.2


def test_a_mirrored_batch_is_what_a_mirrored_world_would_show(moves):
    rng = np.random.default_rng(0)
    frames, places = rng.integers(0, 255, (2, 3, 4, 6), np.uint8), rng.normal(size=(2, 2)).astype(np.float32)
    history = rng.normal(size=(2, no_memory(moves).size)).astype(np.float32)
    batch = {"rgb": frames, "pointgoal": places, "history": history}
    once, twice = _mirror(batch, moves), _mirror(_mirror(batch, moves), moves)
    for name, array in batch.items():
        np.testing.assert_array_equal(twice[name], array)
        assert not np.array_equal(once[name], array)
        assert once[name].dtype == array.dtype
    np.testing.assert_array_equal(once["pointgoal"][:, 0], places[:, 0])
    left = remember(no_memory(moves), {"pointgoal": np.array([3.0, -0.5])}, list(MACRO_ACTIONS).index("turn_left"))
    right = remember(no_memory(moves), {"pointgoal": np.array([3.0, 0.5])}, list(MACRO_ACTIONS).index("turn_right"))
    np.testing.assert_allclose(mirrored_history(left.reshape(1, -1), moves)[0], right.ravel())
