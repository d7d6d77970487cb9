"""Camera motions of whole latents as keys and mouse, and where they lead.

One motion is held for the four frames of a latent. Keys are pressed or not and the mouse turns a limited angle, so not
every motion is possible; `possible_motion` is what happens instead. The full table is in docs/worlds/matrix_game_3.md.

Headings are averaged before they are wrapped and positions kept in float64, where the original walks backwards for one
frame at 180 degrees and rounds (`kinematics.next_pose`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from li_env.accel.geometry.camera import CameraMotion, MotionLimits
from li_env.worlds.matrix_game_3.kinematics import DEAD_ZONE, DEGREES, DIAGONAL_STEP, KEYS, METRES, MOUSE, STEP, walk
from li_env.worlds.matrix_game_3.time_axis import LATENT_FRAMES

TURN = LATENT_FRAMES * DEGREES
"""Degrees per latent at a mouse value of 1."""

MOTION = MotionLimits(translation=LATENT_FRAMES * STEP * METRES, rotation=TURN * MOUSE, pitch=True)
"""Motion of one latent while a key is held: 0.494 metres, 6 degrees."""

DIAGONAL = LATENT_FRAMES * DIAGONAL_STEP * METRES

_ROUNDING = 1e-9


def possible_motion(motion: CameraMotion) -> CameraMotion:
    """Return what the model can do of a motion.

    A direction is walked in full, by its key, if at least half of it is asked for, and not at all otherwise; with two
    directions at once each is shorter. Turns of less than 1.2 degrees per latent do not happen, others reach 6 degrees
    at most.
    """
    ahead, right = (_pressed(step) for step in (motion.forward, motion.right))
    step = DIAGONAL if ahead and right else MOTION.translation
    return CameraMotion(_turned(motion.yaw), _turned(motion.pitch), right * step, ahead * step)


def action_rows(motions: Sequence[CameraMotion]) -> tuple[np.ndarray, np.ndarray]:
    """Return mouse rows [n, 2] (pitch, yaw) and keyboard rows [n, 6] float32 of possible motions, one per latent.

    Looking up is a negative first mouse value: the original calls that "down", but its poses look up.
    """
    mouse, keyboard = np.zeros((len(motions), 2), np.float32), np.zeros((len(motions), len(KEYS)), np.float32)
    for index, motion in enumerate(motions):
        mouse[index] = -motion.pitch / TURN, motion.yaw / TURN
        ahead, right = _pressed(motion.forward), _pressed(motion.right)
        keyboard[index, :4] = ahead > 0, ahead < 0, right < 0, right > 0
    return mouse, keyboard


def follow_motions(pose: np.ndarray, motions: Sequence[CameraMotion]) -> np.ndarray:
    """Return poses [n, 4, 4] after each of n possible motions (`li_env.accel.geometry.camera.follow` of this world).

    Yaw turns about the world's vertical axis, and steps stay level when the camera is pitched. The heading changes with
    every frame of a latent.

    Args:
        pose: [4, 4] camera-to-world, x right, y down, z ahead.
        motions: one per latent.
    """
    pose = np.array(pose, dtype=np.float64)
    poses = np.empty((len(motions), 4, 4))
    frames = (np.arange(LATENT_FRAMES) + 0.5) / LATENT_FRAMES
    _, keyboard = action_rows(motions)
    for index, motion in enumerate(motions):
        yaw, pitch = np.radians((motion.yaw, motion.pitch))
        headings = np.arctan2(-pose[2, 0], pose[0, 0]) + yaw * frames
        cos, sin = np.cos(headings).sum(), np.sin(headings).sum()
        ahead, right = (METRES * step for step in walk(keyboard[index]))
        pose = pose.copy()
        pose[:3, 3] += ahead * sin + right * cos, 0.0, ahead * cos - right * sin
        pose[:3, :3] = _about_y(yaw) @ pose[:3, :3] @ _about_x(pitch)
        poses[index] = pose
    return poses


def _pressed(step: float) -> int:
    return int(np.sign(step)) if abs(step) >= MOTION.translation / 2 - _ROUNDING else 0


def _turned(degrees: float) -> float:
    if abs(degrees) < TURN * DEAD_ZONE - _ROUNDING:
        return 0.0
    return max(-MOTION.rotation, min(MOTION.rotation, degrees))


def _about_y(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])


def _about_x(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])
