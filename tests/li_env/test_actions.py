from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from li_env.accel.geometry.camera import STILL, CameraMotion, MotionLimits
from li_env.actions import ACTION_SPACES, DISCRETE_ACTIONS, ActionMapper

FLAT = MotionLimits(translation=0.75, rotation=15.0, pitch=False)
FREE = MotionLimits(translation=0.08, rotation=3.0, pitch=True)


def test_the_discrete_table_is_the_documented_one():
    mapper = ActionMapper("discrete", FREE)
    expected = [
        STILL,
        CameraMotion(forward=0.08),
        CameraMotion(forward=-0.08),
        CameraMotion(right=-0.08),
        CameraMotion(right=0.08),
        CameraMotion(yaw=-3.0),
        CameraMotion(yaw=3.0),
        CameraMotion(yaw=-3.0, forward=0.08),
        CameraMotion(yaw=3.0, forward=0.08),
        CameraMotion(pitch=3.0),
        CameraMotion(pitch=-3.0),
    ]
    assert mapper.space == spaces.Discrete(11)
    assert [mapper.to_motion(action) for action in range(11)] == expected
    assert list(DISCRETE_ACTIONS).index("forward_right") == 8


def test_without_pitch_there_is_no_way_to_look_up():
    assert ActionMapper("discrete", FLAT).space == spaces.Discrete(9)
    assert ActionMapper("continuous", FLAT).space == spaces.Box(-1, 1, (3,), np.float32)
    keys = ActionMapper("keyboard_mouse", FLAT)
    assert keys.space.shape == (6,)
    assert keys.to_motion([0, 0, 0, 0, 0.5, 1]) == CameraMotion(yaw=7.5)


def test_continuous_scales_the_motion_per_latent():
    mapper = ActionMapper("continuous", FREE)
    motion = mapper.to_motion(np.array([1.0, -0.5, 0.25, -1.0], np.float32))
    assert motion == CameraMotion(yaw=0.75, pitch=-3.0, right=-0.04, forward=0.08)


def test_keys_count_above_one_half_and_opposite_keys_cancel():
    mapper = ActionMapper("keyboard_mouse", FREE)
    assert mapper.to_motion([0.5, 0, 0, 0, 0, 0]) == STILL
    assert mapper.to_motion([0.51, 0, 0, 1, 0, 0]) == CameraMotion(right=0.08, forward=0.08)
    assert mapper.to_motion([1, 1, 1, 1, -1, 0]) == CameraMotion(yaw=-3.0)


@pytest.mark.parametrize("limits", [FLAT, FREE])
@pytest.mark.parametrize("name", ACTION_SPACES)
@given(seed=st.integers(0, 2**31))
def test_every_action_of_the_space_stays_within_the_limits(name, limits, seed):
    mapper = ActionMapper(name, limits)
    mapper.space.seed(seed)
    motion = mapper.to_motion(mapper.space.sample())
    assert max(abs(motion.forward), abs(motion.right)) <= limits.translation * (1 + 1e-6)
    assert max(abs(motion.yaw), abs(motion.pitch)) <= limits.rotation * (1 + 1e-6)
    assert limits.pitch or motion.pitch == 0


@pytest.mark.parametrize("action", [3, np.int64(3), np.array(3), np.uint8(3)])
def test_discrete_takes_any_integer_type(action):
    assert ActionMapper("discrete", FLAT).to_motion(action) == CameraMotion(right=-0.75)


@pytest.mark.parametrize(
    ("name", "action", "message"),
    [
        ("discrete", 9, "action=9 is outside the discrete space; allowed: 0 to 8"),
        ("discrete", -1, "action=-1 .* allowed: 0 to 8"),
        ("discrete", 1.0, "action=1.0 .* allowed: 0 to 8"),
        ("discrete", True, "action=True"),
        ("discrete", "w", "action='w'"),
        ("discrete", [1], r"action=\[1\]"),
        ("continuous", [0, 0, 1.01], r"action=\[0.0, 0.0, 1.01\] is outside the continuous space; allowed: 3 numbers"),
        ("continuous", [0, 0], r"action=\[0.0, 0.0\] .* allowed: 3 numbers"),
        ("continuous", [0, 0, float("nan")], "action=.*nan.* allowed: 3 numbers from"),
        ("continuous", "w", "action='w'"),
        ("continuous", [[0, 0], [0]], "action="),
        ("keyboard_mouse", [-0.1, 0, 0, 0, 0, 0], "action=.* allowed: 6 numbers"),
        ("keyboard_mouse", [0, 0, 0, 0, 2, 0], "action=.* allowed: 6 numbers"),
    ],
)
def test_actions_outside_the_space_are_named_with_what_is_allowed(name, action, message):
    with pytest.raises(ValueError, match=message):
        ActionMapper(name, FLAT).to_motion(action)


def test_unknown_space():
    with pytest.raises(ValueError, match="action_space='joystick' .* allowed: discrete, continuous, keyboard_mouse"):
        ActionMapper("joystick", FLAT)


def test_episodes_under_one_action_share_its_motions_in_every_space(monkeypatch):
    monkeypatch.setattr("li_env.actions.MOST_HELD", 2)
    for name, action in (("discrete", np.int64(1)), ("continuous", np.array([0.5, 0, 0], np.float32))):
        mapper = ActionMapper(name, MotionLimits(0.75, 15.0, False))
        first = mapper.commands(action, 4)
        assert mapper.commands(np.array(action), 4)[0] is first[0]
        assert mapper.commands(action.tolist(), 4)[0] == first[0]
        assert len(mapper.commands(action, 3)[0]) == 3
        assert mapper.commands(action, 4)[0] == first[0], "what was forgotten is made again"
