"""What the vector environment takes; what it refuses is one clear line and changes nothing."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded

from li_env.vector_env import LightInteractionVectorEnv
from tests.vector_envs import ID, make


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_envs": 0}, r"num_envs=0 is not allowed; use a whole number from 1 up"),
        ({"num_envs": 10**9}, r"num_envs=1000000000 needs about .* GiB on cpu, .*; allowed: 1 to \d+$"),
        ({"max_episode_steps": -1}, r"max_episode_steps=-1 is not allowed"),
        ({"autoreset_mode": "samestep"}, r"autoreset_mode='samestep' .* allowed: NextStep, SameStep, Disabled"),
        ({"render_mode": "human"}, r"render_mode='human' .* allowed: rgb_array"),
        ({"world": "fredoom"}, r"world='fredoom' is unknown"),
    ],
)
def test_bad_arguments_name_the_key_the_value_and_what_is_allowed(kwargs, message):
    with pytest.raises(ValueError, match=message) as caught:
        LightInteractionVectorEnv(**{"world": "analytic", **kwargs})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([0, 0], r"actions: shape \[2\] for 3 environments; allowed: shape \[3\]"),
        (0, r"actions: shape \[\] for 3 environments"),
        ([[0], [0], [0]], r"actions: shape \[3, 1\] for 3 environments"),
        ([0, 99, 0], r"action=.*99.* is outside the discrete space; allowed: 0 to"),
        ([0.5, 0, 0], r"action=.*0\.5.* is outside the discrete space"),
        ([[0], [0, 1], []], r"actions: rows of different lengths, or no numbers, for 3 environments"),
        (["1", "1", "1"], r"action=.* is outside the discrete space"),
        ([None, 1, 1], r"action=None is outside the discrete space"),
        (torch.tensor([1, 1, 1]).to_sparse(), r"action=a tensor torch.int64, torch.sparse_coo, on cpu cannot be read"),
        (torch.empty(3, device="meta", dtype=torch.long), r"action=a tensor .* on meta cannot be read"),
        ([torch.tensor(1), torch.tensor([1, 2]), 1], r"actions: rows of different lengths"),
    ],
)
def test_wrong_actions_are_one_clear_line_and_change_nothing(actions, message):
    env = make()
    env.reset(seed=0)
    before = env.save_state()
    with pytest.raises(ValueError, match=message) as caught:
        env.step(actions)
    assert "\n" not in str(caught.value)
    assert env.save_state() == before


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"options": {"reset_mask": [True, False, False]}},
            r"reset_mask=list is not usable; allowed: a numpy array of bool",
        ),
        ({"options": {"reset_mask": np.ones(2, bool)}}, r"reset_mask=bool \[2\] is not usable"),
        ({"options": {"reset_mask": np.ones(3)}}, r"reset_mask=float64 \[3\] is not usable"),
        ({"options": {"reset_mask": np.zeros(3, bool)}}, r"reset_mask without True"),
        ({"options": {"each": [{}]}}, r"each=list; allowed: 3 dictionaries"),
        ({"options": {"imge": 1}}, r"reset option key='imge' is unknown"),
        ({"options": [1]}, r"options=\[1\] is not allowed; use a mapping"),
        ({"options": "start"}, r"options='start' is not allowed"),
        ({"seed": [1, 2]}, r"seed: 2 given for 3 environments"),
        ({"seed": 1.5}, r"seed=1\.5 is not allowed; use a whole number from 0 up"),
        ({"seed": True}, r"seed=True is not allowed"),
        ({"seed": "7"}, r"seed='7' is not allowed"),
        ({"seed": -1}, r"seed=-1 is not allowed"),
        ({"seed": [1, 2.0, 3]}, r"seed\[1\]=2\.0 is not allowed"),
        # What only shows when the episodes begin: in the first world, in a later one.
        ({"seed": 77, "options": {"start": 10**6}}, r"start=1000000 is not a start frame"),
        ({"seed": 77, "options": {"each": [{}, {"pose": 3}, {}]}}, r"pose of shape \[\]"),
        ({"seed": [7, None, 9], "options": {"prompt": 3}}, r"prompt=3 is not usable"),
        ({"options": {"image": "x.png"}}, r"image=str is not usable"),
    ],
)
def test_wrong_resets_are_one_clear_line_and_change_nothing(kwargs, message):
    env = make()
    env.reset(seed=0)
    before, draws = env.save_state(), [generator.bit_generator.state for generator in env.np_random]
    with pytest.raises(ValueError, match=message) as caught:
        env.reset(**kwargs)
    assert "\n" not in str(caught.value)
    assert env.save_state() == before
    assert env.np_random_seed == (0, 1, 2)
    assert [generator.bit_generator.state for generator in env.np_random] == draws


def test_wrong_worlds_and_snapshots_are_refused():
    env = make()
    with pytest.raises(ResetNeeded):
        env.step([0] * 3)
    with pytest.raises(ResetNeeded, match="without reset_mask first"):
        env.reset(options={"reset_mask": np.array([True, False, False])})
    env.reset(seed=0)
    before = env.save_state()
    with pytest.raises(ValueError, match="states: 2 given for 3 environments"):
        env.restore_state(env.save_state([0, 1]))
    with pytest.raises(ValueError, match="states: EpisodeState given for 1 environments"):
        env.restore_state(before[0], [0])
    with pytest.raises(ValueError, match="str is not usable; allowed: what save_state"):
        env.restore_state(["here"], [0])
    for number in (3, -1, 1.5, 1.0, None, True, "1", np.float64(1), np.array([0, 1])):
        for call in (
            lambda number=number: env.fork(0, [number]),
            lambda number=number: env.fork(number, 0),
            lambda number=number: env.save_state([number]),
            lambda number=number: env.restore_state(before[:1], [number]),
        ):
            with pytest.raises(ValueError, match="env=.* is not allowed; use a whole number from 0 to 2"):
                call()
    for numbers in (1, 0.5, np.array(1)):
        with pytest.raises(ValueError, match="worlds=.* is not usable; allowed: a list of numbers of environments"):
            env.restore_state(before[:1], numbers)
    with pytest.raises(ValueError, match="env='1' is not allowed"):
        env.fork(0, "1")
    assert env.save_state() == before
    env.fork(np.int64(0), np.array([1, 2]))
    assert set(env.save_state()) == {before[0]}


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float64", "with gradient", "list of tensors"])
def test_tensors_of_every_kind_are_actions(kind):
    env, other = (make(action_space="continuous") for _ in range(2))
    plain = np.array([[0.5, -0.25, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, -0.5]], np.float32)
    tensor = torch.from_numpy(plain)
    given = (
        {
            "with gradient": tensor.clone().requires_grad_(),
            "list of tensors": list(tensor.bfloat16()),
        }.get(kind)
        if " " in kind
        else tensor.to(getattr(torch, kind))
    )
    for one, actions in ((env, given), (other, plain)):
        one.reset(seed=0)
        one.step(actions)
    for mine, theirs in zip(env.save_state(), other.save_state(), strict=True):
        np.testing.assert_array_equal(mine.episode.pose, theirs.episode.pose)
    single = gymnasium.make(ID, world="analytic", action_space="continuous", disable_env_checker=True)
    single.reset(seed=0)
    single.step(given[0])
    np.testing.assert_array_equal(single.unwrapped.save_state().episode.pose, env.save_state()[0].episode.pose)
