"""Kinematics: poses from keyboard and mouse (docs/spec/matrix_game_3.md, sections 4.2 and 4.3).

A pose is (x, y, z, pitch, yaw): position in centimetres, angles in degrees. The axes are left-handed: x ahead at yaw 0,
y to the right, z up. Positive pitch looks *down*, although the key that gives it is labelled "up" in the original. The
row of frame f moves the pose of frame f to that of frame f + 1.
"""

from __future__ import annotations

import numpy as np

KEYS = ("w", "s", "a", "d", "space", "attack")
"""Columns of a keyboard row; nothing in the original ever presses the last two."""

DEGREES = 15.0
"""Turn per frame at a mouse value of 1."""

MOUSE = 0.1
"""The mouse value that the original's keys give, and the largest one here."""

DEAD_ZONE = 0.02
"""Smaller mouse values turn nothing."""

STEP, DIAGONAL_STEP = 12.35, 8.73
"""Centimetres per frame along one axis, and along each of two at once."""

METRES = 0.01

AXES = np.array([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
"""This world's axes to x right, y down, z ahead: ``AXES @ camera_to_world(...)`` are poses as the engine has them."""


def turn(mouse: np.ndarray) -> np.ndarray:
    """Return degrees per frame (pitch, yaw) of mouse rows [..., 2]."""
    mouse = np.asarray(mouse, dtype=np.float32)
    return np.where(np.abs(mouse) >= np.float32(DEAD_ZONE), np.float32(DEGREES) * mouse, np.float32(0)).astype(
        np.float64
    )


def walk(keyboard: np.ndarray) -> tuple[float, float]:
    """Return centimetres per frame (ahead, right) under one keyboard row [6]."""
    w, s, a, d = (bool(key > 0.5) for key in keyboard[:4])
    ahead, right = int(w) - int(s), int(d) - int(a)
    step = DIAGONAL_STEP if ahead and right else STEP
    return ahead * step, right * step


def next_pose(pose: np.ndarray, mouse: np.ndarray, keyboard: np.ndarray, original: bool = False) -> np.ndarray:
    """Return the pose [5] float64 after one frame.

    Args:
        pose: [5].
        mouse, keyboard: rows [2] and [6] of the frame.
        original: add angles in float32, and average the headings before and after only when the new one is wrapped
            into [-180, 180], as the original does: in the frame where it wraps, the step then goes backwards.
    """
    x, y, z = (float(value) for value in pose[:3])
    angle = np.float32 if original else np.float64
    pitch, yaw = (angle(value) for value in pose[3:])
    up, right_turn = (angle(value) for value in turn(mouse))
    turned, whole = yaw + right_turn, angle(360)
    wrapped = turned - whole if turned > 180 else turned + whole if turned < -180 else turned
    heading = np.radians(float((yaw + (wrapped if original else turned)) / angle(2)))
    ahead, right = walk(keyboard)
    cos, sin = np.cos(heading), np.sin(heading)
    return np.array(
        [x + (cos * ahead - sin * right), y + (sin * ahead + cos * right), z, pitch + up, wrapped], dtype=np.float64
    )


def follow_rows(
    first: np.ndarray, mouse: np.ndarray, keyboard: np.ndarray, original: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return poses of N frames, the first one given, and the pose after the last row.

    Args:
        first: [5], pose of frame 0.
        mouse, keyboard: [N, 2] and [N, 6].
        original: round every pose to float32, and as in `next_pose`.

    Returns:
        ([N, 5], float32 values if ``original``; [5]).
    """
    poses = np.empty((len(mouse), 5))
    pose = np.asarray(first, dtype=np.float64)
    for frame, (turned, pressed) in enumerate(zip(mouse, keyboard, strict=True)):
        poses[frame] = pose.astype(np.float32) if original else pose
        pose = next_pose(poses[frame], turned, pressed, original)
    return poses, pose


def camera_to_world(poses: np.ndarray) -> np.ndarray:
    """Convert poses [..., 5] to [..., 4, 4] float64 in metres: camera axes x right, y down, z ahead."""
    poses = np.asarray(poses, dtype=np.float64)
    pitch, yaw = np.radians(poses[..., 3]), np.radians(poses[..., 4])
    cos_p, sin_p, cos_y, sin_y, zero = np.cos(pitch), np.sin(pitch), np.cos(yaw), np.sin(yaw), np.zeros_like(yaw)
    result = np.zeros((*poses.shape[:-1], 4, 4))
    result[..., :3, 0] = np.stack((-sin_y, cos_y, zero), axis=-1)
    result[..., :3, 1] = -np.stack((cos_y * sin_p, sin_y * sin_p, cos_p), axis=-1)
    result[..., :3, 2] = np.stack((cos_y * cos_p, sin_y * cos_p, -sin_p), axis=-1)
    result[..., :3, 3] = METRES * poses[..., :3]
    result[..., 3, 3] = 1.0
    return result
