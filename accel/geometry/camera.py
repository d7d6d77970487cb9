"""Camera motion: the rigid transforms between the poses of consecutive latents.

Poses are camera-to-world 4x4 float64 matrices with OpenCV axes (x right, y down, z forward) acting on column vectors.
The motion of one latent rotates first (yaw about the camera's y axis, then pitch about its x axis) and then translates
along the new axes. Source: docs/spec/hy_worldplay.md, sections 6.1 and 6.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite

import numpy as np

POLE = 89.0
"""Largest angle in degrees that a camera may look up or down: beyond 90 the camera would be upside down."""


@dataclass(frozen=True)
class CameraMotion:
    """Motion of the camera during one latent.

    Attributes:
        yaw: degrees, positive turns right.
        pitch: degrees, positive looks up.
        right: length units along the camera's x axis after the rotation.
        forward: length units along the camera's z axis after the rotation.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    right: float = 0.0
    forward: float = 0.0

    def scaled(self, factor: float) -> CameraMotion:
        """Return the same motion with every component multiplied by ``factor``."""
        return CameraMotion(self.yaw * factor, self.pitch * factor, self.right * factor, self.forward * factor)

    def is_finite(self) -> bool:
        """Return whether no component is NaN or infinite."""
        return all(map(isfinite, (self.yaw, self.pitch, self.right, self.forward)))


@dataclass(frozen=True)
class MotionLimits:
    """Motion of one latent when a key is held or a continuous action is at 1."""

    translation: float
    rotation: float
    pitch: bool


STILL = CameraMotion()
"""Motion of a camera that stands still."""


def move(pose: np.ndarray, motion: CameraMotion) -> np.ndarray:
    """Return the pose [4, 4] that ``motion`` leads to from ``pose`` [4, 4]."""
    return follow(pose, [motion])[0]


def follow(pose: np.ndarray, motions: Sequence[CameraMotion]) -> np.ndarray:
    """Return the poses [n, 4, 4] after each of n motions from ``pose`` [4, 4], which is not included."""
    return follow_many(np.asarray(pose, dtype=np.float64)[None], motion_table([motions]))[0]


def motion_table(motions: Sequence[Sequence[CameraMotion]]) -> np.ndarray:
    """Return (yaw, pitch, right, forward) of the motions of B episodes, n each: [B, n, 4] float64."""
    # Episodes under one action share one tuple of motions: it is read once.
    held = list(motions)
    distinct = {id(episode): episode for episode in held}
    numbers = [(each.yaw, each.pitch, each.right, each.forward) for episode in distinct.values() for each in episode]
    table = np.array(numbers, dtype=np.float64).reshape(len(distinct), -1, 4)
    if len(distinct) == len(held):
        return table
    rows = dict(zip(distinct, range(len(distinct)), strict=True))
    return table[[rows[id(episode)] for episode in held]]


def follow_many(poses: np.ndarray, motions: np.ndarray) -> np.ndarray:
    """Call `follow` for many cameras: poses [B, 4, 4] and a `motion_table` [B, n, 4] -> [B, n, 4, 4].

    The poses of one camera do not depend on the other cameras, bit for bit.
    """
    yaw, pitch = np.radians(motions[..., 0]), np.radians(motions[..., 1])
    cos_yaw, sin_yaw, cos_pitch, sin_pitch = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    steps = np.zeros((*motions.shape[:-1], 4, 4))
    # Ry(yaw) @ Rx(pitch)
    steps[..., 0, 0], steps[..., 0, 1], steps[..., 0, 2] = cos_yaw, sin_yaw * sin_pitch, sin_yaw * cos_pitch
    steps[..., 1, 1], steps[..., 1, 2] = cos_pitch, -sin_pitch
    steps[..., 2, 0], steps[..., 2, 1], steps[..., 2, 2] = -sin_yaw, cos_yaw * sin_pitch, cos_yaw * cos_pitch
    steps[..., :3, 3] = steps[..., :3, 0] * motions[..., 2, None] + steps[..., :3, 2] * motions[..., 3, None]
    steps[..., 3, 3] = 1.0
    reached = np.empty_like(steps)
    for index in range(steps.shape[1]):
        poses = reached[:, index] = poses @ steps[:, index]
    return reached


def stop_at_poles(
    pose: np.ndarray,
    motions: Sequence[CameraMotion],
    own_follow: Callable[[np.ndarray, Sequence[CameraMotion]], np.ndarray] | None = None,
) -> tuple[CameraMotion, ...]:
    """Shorten the pitch of motions so that the camera's down axis stays within `POLE` degrees of the world's.

    A camera that is already beyond that limit may only turn back. Only pitch changes; a motion that needs no change is
    returned as the same object.

    Args:
        pose: [4, 4] camera-to-world before the first motion.
        motions: finite motions, pitch being their last rotation.
        own_follow: moves the camera; `follow` by default.
    """
    down = float(np.clip(pose[1, 1], -1.0, 1.0))
    if np.degrees(np.arccos(down)) + sum(abs(motion.pitch) for motion in motions) <= POLE:
        return tuple(motions)  # the poles are out of reach, the usual case
    move_by, out = own_follow or follow, []
    for motion in motions:
        if motion.pitch:
            level = move_by(pose, [replace(motion, pitch=0.0)])[0]
            # Pitch turns about the camera's x axis: its down axis then has the height reach * cos(pitch - lean).
            reach = float(np.hypot(level[1, 1], level[1, 2]))
            lean = float(np.degrees(np.arctan2(level[1, 2], level[1, 1])))
            room = float(np.degrees(np.arccos(min(1.0, np.cos(np.radians(POLE)) / max(reach, 1e-12)))))
            pitch = max(min(lean - room, 0.0), min(motion.pitch, max(lean + room, 0.0)))
            motion = motion if pitch == motion.pitch else replace(motion, pitch=pitch)
        pose = move_by(pose, [motion])[0]
        out.append(motion)
    return tuple(out)


def inverse(pose: np.ndarray) -> np.ndarray:
    """Invert rigid transforms [..., 4, 4]: camera-to-world to world-to-camera and back."""
    pose = np.asarray(pose, dtype=np.float64)
    rotation = np.swapaxes(pose[..., :3, :3], -1, -2)
    result = np.zeros_like(pose)
    result[..., :3, :3] = rotation
    result[..., :3, 3:] = -rotation @ pose[..., :3, 3:]
    result[..., 3, 3] = 1.0
    return result


def relative_motion(pose_a: np.ndarray, pose_b: np.ndarray) -> CameraMotion:
    """Return the motion that leads from ``pose_a`` to ``pose_b`` (both [4, 4]).

    The motion is exact where one exists (pitch within 90 degrees). Otherwise roll and the shift along the camera's y
    axis are left out.
    """
    step = inverse(pose_a) @ pose_b
    rotation, shift = step[:3, :3], step[:3, 3]
    return CameraMotion(
        yaw=float(np.degrees(np.arctan2(-rotation[2, 0], rotation[0, 0]))),
        pitch=float(np.degrees(np.arctan2(-rotation[1, 2], rotation[1, 1]))),
        right=float(rotation[:, 0] @ shift),
        forward=float(rotation[:, 2] @ shift),
    )
