"""The discrete action label of a camera motion: 9 translations times 9 rotations.

Source: docs/spec/hy_worldplay.md, section 6.4.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from li_env.accel.geometry.camera import CameraMotion, move

STANDING = 1e-4
"""Length below which a translation counts as none."""

TURNING = 0.05
"""Degrees above which a rotation counts."""

_TRANSLATIONS = {"": 0, "f": 1, "b": 2, "r": 3, "l": 4, "fr": 5, "fl": 6, "br": 7, "bl": 8}
_ROTATIONS = {"": 0, "r": 1, "l": 2, "u": 3, "d": 4, "ru": 5, "rd": 6, "lu": 7, "ld": 8}


def step_label(step: np.ndarray) -> int:
    """Return the label 0..80 of the pose [4, 4] of a camera seen from the one before it."""
    return 9 * _TRANSLATIONS[_direction(step[:3, 3])] + _ROTATIONS[_turn(step[:3, :3])]


def motion_labels(motions: Sequence[CameraMotion]) -> list[int]:
    """Return labels of motions, one per latent that a motion leads to."""
    return [step_label(move(np.eye(4), motion)) for motion in motions]


def _direction(shift: np.ndarray) -> str:
    """Return the direction of a translation: forward or backward, right or left. Vertical motion is not labelled."""
    length = float(np.linalg.norm(shift))
    if length <= STANDING:
        return ""
    right, _, forward = np.degrees(np.arccos(np.clip(shift / length, -1.0, 1.0)))
    along = "f" if forward < 60 else "b" if forward > 120 else ""
    return along + ("r" if right < 60 else "l" if right > 120 else "")


def _turn(rotation: np.ndarray) -> str:
    """Return the direction of a rotation: right or left, up or down."""
    yaw = np.degrees(np.arcsin(np.clip(-rotation[2, 0], -1.0, 1.0)))
    pitch = np.degrees(np.arctan2(rotation[2, 1], rotation[2, 2]))
    around = "r" if yaw > TURNING else "l" if yaw < -TURNING else ""
    return around + ("u" if pitch > TURNING else "d" if pitch < -TURNING else "")
