"""Bad input to the environment is answered with the key, the value and what is allowed."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from li_env.env import LightInteractionEnv
from tests.analytic_world import AnalyticWorld


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"imge": 1}, r"reset option key='imge' is unknown \(did you mean 'image'\?\); allowed: image, prompt, pose"),
        ({"image": np.zeros((96, 128, 3), np.float32)}, r"image=float32 \[96, 128, 3\] .* allowed: .*uint8"),
        ({"image": np.zeros((96, 128, 4), np.uint8)}, r"image=uint8 \[96, 128, 4\]"),
        ({"image": np.zeros((96, 128), np.uint8)}, r"image=uint8 \[96, 128\]"),
        ({"image": np.zeros((0, 128, 3), np.uint8)}, r"image=\[0, 128, 3\] is empty"),
        ({"image": "cat.png"}, "image=str"),
        ({"prompt": 3}, "prompt=3 .* allowed: a string"),
        ({"pose": np.eye(3)}, r"pose of shape \[3, 3\]"),
        ({"pose": "here"}, "pose=str"),
        ({"pose": np.full((4, 4), np.nan)}, "pose .* with NaN"),
        ({"pose": np.diag([1.0, 1, -1, 1])}, "pose=.* allowed: a finite 4x4 matrix"),
        ({"pose": np.diag([2.0, 2, 2, 1])}, "pose=.* allowed: a finite 4x4 matrix"),
        ({"start": -1}, "start=-1 is not a start frame; allowed: 0 to"),
        ({"start": 10**6}, "start=1000000 is not a start frame; allowed: 0 to"),
        ({"start": 0.5}, "start=0.5"),
        ({"start": True}, "start=True"),
        ({"start": 0, "image": np.zeros((96, 128, 3), np.uint8)}, "exclude each other"),
        ({"state": 5}, "state=int .* allowed: what save_state"),
    ],
)
def test_bad_reset_options_name_the_key_the_value_and_what_is_allowed(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        LightInteractionEnv("analytic").reset(seed=0, options=options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"world": "fredoom"}, r"world='fredoom' is unknown \(did you mean 'freedoom'\?\); allowed: .*analytic"),
        ({"world": 3}, "world=int"),
        ({"preset": "fast"}, "preset: 'fast' is not known; allowed: .*off"),
        ({"action_space": "keys"}, "action_space='keys' .* allowed: discrete, continuous, keyboard_mouse"),
        ({"observation": "video"}, "observation='video' .* allowed: chunk, frame"),
        ({"render_mode": "ansi"}, "render_mode='ansi' .* allowed: human, rgb_array"),
        ({"device": "tpu"}, "device='tpu' .* allowed: auto, cpu, cuda"),
        ({"world": AnalyticWorld(), "weights": "here"}, "weights='here'"),
    ],
)
def test_bad_arguments_name_the_key_the_value_and_what_is_allowed(kwargs, message):
    with pytest.raises(ValueError, match=message) as caught:
        LightInteractionEnv(**{"world": "analytic", **kwargs})
    assert "\n" not in str(caught.value)


def test_step_before_reset_and_bad_action():
    env = LightInteractionEnv("analytic")
    with pytest.raises(ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action=99 is outside the discrete space; allowed: 0 to"):
        env.step(99)
