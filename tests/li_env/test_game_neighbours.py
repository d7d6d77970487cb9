"""A world of the game among others is the single environment, bit for bit: what lets the game stand for the model.

``LI_ENV_TWIN_STEPS=200`` makes the walks as long as you like.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

import li_env  # noqa: F401  (registers the ids)

pytest.importorskip("vizdoom")

IDS = [f"LightInteraction/{name}-v0" for name in ("Explore", "PointGoal", "ImageGoal")]
STEPS = int(os.environ.get("LI_ENV_TWIN_STEPS", "14"))
LIMIT = 9 if STEPS < 64 else 16  # steps of an episode, so that worlds also begin anew
FORWARD, TURN_LEFT, TURN_RIGHT, STOP = 1, 5, 6, 9


def native(name: str, worlds: int, mode: AutoresetMode, **kwargs: Any) -> VectorEnv[Any, Any, Any]:
    return gymnasium.make_vec(
        name, worlds, vectorization_mode="vector_entry_point", world="freedoom_game", observation="frame",
        max_episode_steps=LIMIT, autoreset_mode=mode, **kwargs,
    )  # fmt: skip


def singles(name: str, worlds: int, mode: AutoresetMode) -> VectorEnv[Any, Any, Any]:
    def one() -> gymnasium.Env[Any, Any]:
        return gymnasium.make(
            name,
            world="freedoom_game",
            observation="frame",
            max_episode_steps=LIMIT,
            disable_env_checker=True,
        )

    return SyncVectorEnv([one] * worlds, autoreset_mode=mode)


def moves(name: str, worlds: int, seed: int) -> np.ndarray:
    """Walks straight on into walls; every world ends some episodes itself where it can."""
    choices = [FORWARD, TURN_LEFT, TURN_RIGHT, 7, 3, STOP if name != IDS[0] else 2]
    rng = np.random.default_rng(seed)
    return rng.choice(choices, (STEPS, worlds), p=[0.77, 0.04, 0.06, 0.06, 0.06, 0.01])


def check_same(first: Any, second: Any, key: str = "") -> None:
    """Equal in every bit, structure, shape and dtype; arrays of objects entry by entry."""
    if isinstance(first, Mapping):
        assert isinstance(second, Mapping), key
        assert first.keys() == second.keys(), (key, first.keys() ^ second.keys())
        for name in first:
            check_same(first[name], second[name], f"{key}/{name}")
    elif isinstance(first, tuple | list) or (isinstance(first, np.ndarray) and first.dtype == object):
        assert type(first) is type(second), key
        for row, (one, two) in enumerate(zip(first, second, strict=True)):
            check_same(one, two, f"{key}[{row}]")
    elif isinstance(first, np.ndarray):
        assert (first.dtype, first.shape) == (second.dtype, second.shape), (key, first.dtype, second.dtype)
        np.testing.assert_array_equal(first, second, err_msg=key)
    else:
        assert type(first) is type(second), key
        assert first == second or (first != first and second != second), (key, first, second)


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("name", IDS)
def test_many_worlds_are_as_many_single_environments(name: str, mode: AutoresetMode) -> None:
    envs = [make(name, 3, mode) for make in (native, singles)]
    check_same(*(env.reset(seed=11) for env in envs))
    blocked = ends = 0
    for actions in moves(name, 3, 1):
        one, two = (env.step(actions) for env in envs)
        check_same(one, two)
        over = one[2] | one[3]
        blocked, ends = blocked + int((one[4].get("blocked", np.zeros(3)) > 0).sum()), ends + int(over.sum())
        if mode is AutoresetMode.DISABLED and over.any():
            check_same(*(env.reset(options={"reset_mask": over}) for env in envs))
    assert blocked > 2
    assert ends > 2


@pytest.mark.parametrize("actions", ["discrete", "continuous"])
def test_a_world_does_not_depend_on_how_many_there_are(actions: str) -> None:
    """World 0 alone, beside three and beside fifteen others, most of which stand at walls."""
    seen = []
    paths = moves(IDS[1], 16, 2)[: max(6, STEPS // 2 - 6)]
    held = np.array(
        [[0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0.9, 0.3, -0.5], [0.5, 0, 0.9], [1, 1, 0]]
    )
    for worlds in (1, 4, 16):
        env = native(IDS[0], worlds, AutoresetMode.SAME_STEP, action_space=actions)
        env.reset(seed=5)
        for turn, row in enumerate(paths[:, :worlds]):
            chosen = row % 8 if actions == "discrete" else held[(row + turn) % 8].astype(np.float32)
            observations, rewards, _, _, infos = env.step(chosen)
            first = {key: column[0] for key, column in infos.items() if not isinstance(column, Mapping)}
            seen.append((observations[0], rewards[0], first))
    for turn in range(len(paths)):
        alone, *others = seen[turn :: len(paths)]
        for other in others:
            check_same(alone, other)
