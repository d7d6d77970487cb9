"""The preset of an environment: in every form, changed between episodes, one per world, part of a saved state."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from li_env.accel.config import AccelConfig
from li_env.env import LightInteractionEnv
from li_env.vector_env import LightInteractionVectorEnv
from tests.analytic_world import AnalyticWorld

PATH = (5, 6, 5, 6, 1, 2, 5, 6)
"""Left and right again: the default preset finds revisits, the plain model has none that is cheaper."""


def steps_of(env: LightInteractionEnv, actions: tuple[int, ...] = PATH) -> list[int]:
    """Denoising steps of every chunk: four under ``off``, two in revisits under ``all``."""
    return [env.step(action)[4]["denoising_steps"] for action in actions]


def played(preset: Any) -> list[np.ndarray]:
    env = LightInteractionEnv(AnalyticWorld(), preset=preset)
    return [env.reset(seed=0)[0], *(env.step(action)[0] for action in PATH)]


def test_every_form_is_the_same_preset(tmp_path):
    file = tmp_path / "mine.yaml"
    config = AccelConfig.preset("all")
    file.write_text("\n".join(f"{key}: {value}" for key, value in config.to_dict().items() if value is not None))
    expected = played("all")
    for preset in (config, config.to_dict(), file, str(file)):
        np.testing.assert_array_equal(played(preset), expected)
    with pytest.raises(ValueError, match="^preset: 'al' is not known; did you mean 'all'"):
        LightInteractionEnv(AnalyticWorld(), preset="al")


def test_it_changes_between_episodes():
    env = LightInteractionEnv(AnalyticWorld())
    assert env.preset == AccelConfig.preset("all")
    env.reset(seed=0)
    assert min(steps_of(env)) < 4
    env.preset = "off"
    env.reset(seed=0)
    assert set(steps_of(env)) == {4}
    env.reset(seed=0, options={"preset": {"denoising": "shortened", "warmup_chunks": 1}})
    assert env.preset.name == "custom"
    assert min(steps_of(env)) < 4
    env.reset(seed=0)
    assert env.preset.name == "custom"  # it stays


def test_assigning_does_not_change_the_episode_that_runs():
    env, other = (LightInteractionEnv(AnalyticWorld()) for _ in range(2))
    env.reset(seed=0)
    other.reset(seed=0)
    env.preset = "off"
    assert steps_of(env) == steps_of(other)


def test_an_episode_is_that_of_an_environment_of_its_preset():
    env = LightInteractionEnv(AnalyticWorld(), preset="off")
    frames = [env.reset(seed=0, options={"preset": "all"})[0], *(env.step(action)[0] for action in PATH)]
    np.testing.assert_array_equal(frames, played("all"))


@pytest.mark.parametrize("wrong", ["al", 3, {"memori": 1}, "nowhere.yaml"])
def test_a_wrong_one_changes_nothing(wrong):
    env = LightInteractionEnv(AnalyticWorld())
    env.reset(seed=0)
    for change in (lambda: env.reset(options={"preset": wrong}), lambda: setattr(env, "preset", wrong)):
        with pytest.raises(ValueError, match="preset|memori"):
            change()
    assert env.preset.name == "all"
    env.step(1)
    many = LightInteractionVectorEnv(2, world=AnalyticWorld())
    many.reset(seed=0)
    for change in (
        lambda: many.reset(options={"each": [{}, {"preset": wrong}]}),
        lambda: setattr(many, "preset", ["off", wrong]),
        lambda: setattr(many, "preset", ["off"]),
    ):
        with pytest.raises(ValueError, match="preset|memori"):
            change()
    assert [preset.name for preset in many.preset] == ["all", "all"]


def test_a_saved_state_brings_its_preset():
    env = LightInteractionEnv(AnalyticWorld(), preset="all")
    env.reset(seed=0)
    first = steps_of(env, PATH[:4])
    saved = env.save_state()
    rest = steps_of(env, PATH[4:])
    for other in (env, LightInteractionEnv(AnalyticWorld(), preset="off")):
        other.reset(seed=3, options={"preset": "off"})
        other.restore_state(saved)
        assert other.preset.name == "all"
        assert steps_of(other, PATH[4:]) == rest
        other.reset(options={"preset": "off"})
        other.reset(options={"state": saved})
        assert other.preset.name == "all"
        assert steps_of(other, PATH[4:]) == rest
    assert len(first) == 4


@pytest.mark.parametrize("device_obs", [False, True])
def test_worlds_of_one_batch_have_presets_of_their_own(device_obs):
    names = ["off", "all", "context", "all"]
    many = LightInteractionVectorEnv(4, world=AnalyticWorld(), device_obs=device_obs)
    singles = [LightInteractionEnv(AnalyticWorld(), preset=name) for name in names]
    many.reset(seed=7, options={"each": [{"preset": name} for name in names]})
    for index, env in enumerate(singles):
        env.reset(seed=7 + index)
    for action in PATH:
        frames, _, _, _, infos = many.step(np.full(4, action))
        for index, env in enumerate(singles):
            expected, _, _, _, info = env.step(action)
            np.testing.assert_array_equal(np.asarray(frames[index]), expected)
            assert infos["denoising_steps"][index] == info["denoising_steps"]
    assert [preset.name for preset in many.preset] == names
    saved = many.save_state([0])
    many.restore_state(saved, [3])
    many.fork(1, 2)
    assert [preset.name for preset in many.preset] == ["off", "all", "all", "off"]


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_it_stays_over_autoresets_and_can_be_assigned(mode):
    env = gymnasium.make_vec(
        "LightInteraction/Explore-v0", 2, vectorization_mode="vector_entry_point", world=AnalyticWorld(),
        autoreset_mode=mode, max_episode_steps=3,
    ).unwrapped  # fmt: skip
    env.reset(seed=0, options={"each": [{"preset": "off"}, {}]})
    for _ in range(8):
        env.step(np.array([5, 6]))
    assert [preset.name for preset in env.preset] == ["off", "all"]
    env.preset = ["all", {"name": "own"}]
    env.reset(seed=0, options={"reset_mask": np.array([True, False])})
    assert [preset.name for preset in env.preset] == ["all", "own"]
    env.preset = "off"
    assert env.preset == (AccelConfig.preset("off"),) * 2
