"""The three action spaces and what their actions mean as camera motion.

An action is held for every latent of the chunk that a step makes. One unit of translation or rotation is the world's
motion per latent (`MotionLimits`: 0.75 m or 15 degrees in the freedoom world). Where two directions are given at once
they add up, as when two keys are held; the rotation comes first and the translation follows the new heading.

==============  ===============  =======================  ==========================================
action          ``discrete``     ``continuous`` (float)   ``keyboard_mouse`` (float)
==============  ===============  =======================  ==========================================
stand still     0                all 0                    all 0
forward         1                [0] > 0                  [0] ``w`` > 0.5
backward        2                [0] < 0                  [1] ``s`` > 0.5
strafe left     3                [1] < 0                  [2] ``a`` > 0.5
strafe right    4                [1] > 0                  [3] ``d`` > 0.5
turn left       5                [2] < 0                  [4] ``mouse_yaw`` < 0
turn right      6                [2] > 0                  [4] ``mouse_yaw`` > 0
forward + left  7                [0] > 0 and [2] < 0      ``w`` and ``mouse_yaw`` < 0
forward + right 8                [0] > 0 and [2] > 0      ``w`` and ``mouse_yaw`` > 0
look up         9 (pitch)        [3] > 0 (pitch)          [5] ``mouse_pitch`` > 0 (pitch)
look down       10 (pitch)       [3] < 0 (pitch)          [5] ``mouse_pitch`` < 0 (pitch)
stop (goals)    the last one     the last number > 0.5    [6] > 0.5
==============  ===============  =======================  ==========================================

"(pitch)" exists only where the world's camera can look up and down. Without it ``discrete`` has 9 actions,
``continuous`` 3 numbers, and ``keyboard_mouse`` keeps its 6 numbers (one layout for all worlds) and ignores the last.
"(goals)" exists only in tasks that an agent ends itself: it is one action or number more, and its other numbers do not
count.

With ``latent_actions=True`` a step takes one such action per latent of the chunk: `li_env.latent_actions`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces

from li_env.accel.geometry.camera import CameraMotion, MotionLimits
from li_env.validation import check_choice

ActionSpaceName = Literal["discrete", "continuous", "keyboard_mouse"]
ACTION_SPACES: tuple[ActionSpaceName, ...] = ("discrete", "continuous", "keyboard_mouse")

DISCRETE_ACTIONS: dict[str, tuple[int, int, int, int]] = {
    # name: (forward, right, yaw, pitch) in units of the motion per latent
    "still": (0, 0, 0, 0),
    "forward": (1, 0, 0, 0),
    "backward": (-1, 0, 0, 0),
    "strafe_left": (0, -1, 0, 0),
    "strafe_right": (0, 1, 0, 0),
    "turn_left": (0, 0, -1, 0),
    "turn_right": (0, 0, 1, 0),
    "forward_left": (1, 0, -1, 0),
    "forward_right": (1, 0, 1, 0),
    "look_up": (0, 0, 0, 1),
    "look_down": (0, 0, 0, -1),
}


class Action(IntEnum):
    """The fixed actions of the ``discrete`` space; the index of ``stop`` depends on world and task (`stop_action`).

    ``LOOK_UP`` and ``LOOK_DOWN`` exist only where the world's camera can look up and down.
    """

    STILL = 0
    FORWARD = 1
    BACKWARD = 2
    STRAFE_LEFT = 3
    STRAFE_RIGHT = 4
    TURN_LEFT = 5
    TURN_RIGHT = 6
    FORWARD_LEFT = 7
    FORWARD_RIGHT = 8
    LOOK_UP = 9
    LOOK_DOWN = 10


Commands = tuple[tuple[CameraMotion, ...], tuple[Any, ...]]
"""Motions, one per new latent of a chunk, and the actions that ask for them (`ActionMapper.kept`)."""

MOST_HELD = 4096
"""Most actions whose motions are remembered: policies with macro actions repeat a few, others never repeat one."""

PRESSED = 0.5
"""A key of ``keyboard_mouse`` counts as held above this value."""


class ActionMapper:
    """One action space of one world: its Gymnasium space and the mapping from an action to a `CameraMotion`.

    Args:
        name: ``discrete``, ``continuous`` or ``keyboard_mouse``.
        limits: the world's motion per latent.
        can_stop: add ``stop``.

    Raises:
        ValueError: an unknown name.
    """

    def __init__(self, name: str, limits: MotionLimits, can_stop: bool = False) -> None:
        self.name = check_choice("action_space", name, ACTION_SPACES)
        self.limits, self.can_stop = limits, can_stop
        self._table = [direction for direction in DISCRETE_ACTIONS.values() if limits.pitch or direction[3] == 0]
        self._held: dict[tuple[int | bytes, int], Commands | None] = {}
        self.space: spaces.Space[Any]
        if self.name == "discrete":
            self.space = spaces.Discrete(len(self._table) + can_stop)
        elif self.name == "continuous":
            self.space = spaces.Box(-1.0, 1.0, ((4 if limits.pitch else 3) + can_stop,), np.float32)
        else:
            low = np.array([0, 0, 0, 0, -1, -1, *[0] * can_stop], np.float32)
            self.space = spaces.Box(low, np.ones_like(low), dtype=np.float32)

    @property
    def stop_action(self) -> int | np.ndarray | None:
        """Action ``stop`` of this space; None where there is none."""
        if not self.can_stop:
            return None
        if isinstance(self.space, spaces.Discrete):
            return len(self._table)
        assert isinstance(self.space, spaces.Box)
        stop: np.ndarray = np.zeros_like(self.space.low)
        stop[-1] = 1.0
        return stop

    def to_motion(self, action: Any) -> CameraMotion | None:
        """Return the camera motion of one latent under ``action``, ``None`` for ``stop``.

        Raises:
            ValueError: the action is not in the space; the message holds its value and what is allowed.
        """
        action = from_tensor(action)
        if isinstance(self.space, spaces.Discrete):
            index = self._index(action)
            return None if index == len(self._table) else self._motion(*self._table[index])
        values = self._values(action)
        if self.can_stop and values[-1] > PRESSED:
            return None
        if self.name == "continuous":
            forward, right, yaw = values[:3]
            return self._motion(forward, right, yaw, values[3] if self.limits.pitch else 0.0)
        w, s, a, d = (float(value > PRESSED) for value in values[:4])
        return self._motion(w - s, d - a, values[4], values[5] if self.limits.pitch else 0.0)

    def kept(self, action: Any) -> int | np.ndarray:
        """Return the action as an immutable value: a whole number, or a read-only array float32."""
        action = from_tensor(action)
        if isinstance(self.space, spaces.Discrete):
            return int(action)
        values = np.array(action, dtype=np.float32)
        values.setflags(write=False)
        return values

    def commands(self, action: Any, count: int) -> Commands | None:
        """Hold ``action`` for the ``count`` new latents of a chunk; ``None`` for ``stop``.

        Raises:
            ValueError: the action is not in the space.
        """
        # Episodes with one action share one tuple of motions: what is equal is recognised without a comparison.
        key = self._key(action), count
        if key not in self._held:
            if len(self._held) >= MOST_HELD:
                self._held.clear()
            motion = self.to_motion(action)
            self._held[key] = None if motion is None else ((motion,) * count, (self.kept(action),) * count)
        return self._held[key]

    def _key(self, action: Any) -> int | bytes:
        """Return what is equal for equal actions."""
        if isinstance(self.space, spaces.Discrete):
            return self._index(from_tensor(action))
        usual = isinstance(action, np.ndarray) and action.dtype == np.float32 and action.shape == self.space.shape
        return action.tobytes() if usual else self._values(from_tensor(action)).tobytes()

    def _motion(self, forward: float, right: float, yaw: float, pitch: float) -> CameraMotion:
        translation, rotation = self.limits.translation, self.limits.rotation
        return CameraMotion(
            yaw=float(yaw * rotation),
            pitch=float(pitch * rotation),
            right=float(right * translation),
            forward=float(forward * translation),
        )

    def _index(self, action: Any) -> int:
        last = len(self._table) - 1 + self.can_stop
        if isinstance(action, np.int64) and 0 <= action <= last:  # a row of a batch, the usual case
            return int(action)
        array = np.asarray(action)
        integer = array.ndim == 0 and np.issubdtype(array.dtype, np.integer)
        if not integer or not 0 <= int(array) <= last:
            raise ValueError(f"action={action!r} is outside the discrete space; allowed: 0 to {last}")
        return int(array)

    def _values(self, action: Any) -> np.ndarray:
        assert isinstance(self.space, spaces.Box)
        allowed = f"{self.space.shape[0]} numbers from {self.space.low.tolist()} to {self.space.high.tolist()}"
        try:
            values = np.asarray(action, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"action={action!r} is outside the {self.name} space; allowed: {allowed}") from None
        inside = (
            values.shape == self.space.shape and np.all(values >= self.space.low) and np.all(values <= self.space.high)
        )
        if not inside:  # comparisons with NaN are false, so NaN ends here too
            raise ValueError(f"action={values.tolist()} is outside the {self.name} space; allowed: {allowed}")
        return values


def from_tensor(action: Any) -> Any:
    """Turn a tensor of any device, type of numbers or gradient into an array on the host; return anything else as is.

    Raises:
        ValueError: a tensor whose numbers cannot be read: sparse, quantised, or without data.
    """
    if isinstance(action, list | tuple) and any(isinstance(each, torch.Tensor) for each in action):
        return [from_tensor(each) for each in action]
    if not isinstance(action, torch.Tensor):
        return action
    try:
        host = action.detach().cpu()
        # NumPy has no bfloat16.
        return host.double().numpy() if host.is_floating_point() else host.numpy()
    except (RuntimeError, TypeError, NotImplementedError):
        what = f"a tensor {action.dtype}, {action.layout}, on {action.device}"
        raise ValueError(f"action={what} cannot be read; allowed: a plain tensor of numbers") from None
