"""Walking in maps with the game's collision, in the axes of the world: x right, z forward, in metres."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from li_env.accel.geometry.camera import CameraMotion
from li_env.doom.collision import Walls
from li_env.doom.renderer import MAP_UNITS_PER_METRE, renderable_poses

_SAME = 1e-9  # metres: below this the walls left a motion alone


def planar_poses(poses: np.ndarray) -> np.ndarray:
    """Convert camera-to-world [n, 4, 4] of level cameras to (x right, z forward in metres, yaw in degrees) [n, 3]."""
    yaw = np.degrees(np.arctan2(poses[:, 0, 2], poses[:, 2, 2]))
    return np.stack([poses[:, 0, 3], poses[:, 2, 3], yaw], -1)


def level_pose(x: float, z: float, yaw: float) -> np.ndarray:
    """Return the camera-to-world pose [4, 4] of a level camera at (x right, z forward, yaw in degrees)."""
    cosine, sine = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    return np.array([[cosine, 0, sine, x], [0, 1, 0, 0], [-sine, 0, cosine, z], [0, 0, 0, 1]])


def doom_points(points: np.ndarray) -> np.ndarray:
    """Convert points [..., 2] (x right, z forward in metres) to Doom points (x, y) without rounding."""
    x, z = np.moveaxis(np.asarray(points, dtype=np.float64), -1, 0)
    return np.stack([z * MAP_UNITS_PER_METRE, -x * MAP_UNITS_PER_METRE], -1)


def exact_doom_poses(poses: np.ndarray) -> np.ndarray:
    """Convert planar poses [n, 3] to Doom poses (x, y, degrees) without rounding."""
    poses = np.asarray(poses, dtype=np.float64)
    return np.concatenate([doom_points(poses[..., :2]), -poses[..., 2:] % 360.0], -1)


def doom_poses(poses: np.ndarray) -> np.ndarray:
    """Convert planar poses [n, 3] to the nearest Doom poses that the game can show."""
    return renderable_poses(exact_doom_poses(poses))


def walk(
    walls: Walls, which: np.ndarray, starts: np.ndarray, commanded: Sequence[Sequence[CameraMotion]]
) -> tuple[list[tuple[CameraMotion, ...]], np.ndarray]:
    """Walk in maps with the game's collision.

    Args:
        walls: walls of the maps.
        which: [n] map of each walker.
        starts: [n, 3] Doom poses (x, y, degrees).
        commanded: per walker equally many motions.

    Returns:
        (the realised motions, the commanded one itself where no wall changes it; Doom poses [n, length + 1, 3]).
    """
    states = np.array(starts, dtype=np.float64)
    paths, realised = [states.copy()], []
    for moves in zip(*commanded, strict=True):
        states[:, 2] = (states[:, 2] - [move.yaw for move in moves]) % 360.0
        angle = np.radians(states[:, 2])
        cosine, sine = np.cos(angle), np.sin(angle)
        right = MAP_UNITS_PER_METRE * np.array([move.right for move in moves])
        ahead = MAP_UNITS_PER_METRE * np.array([move.forward for move in moves])
        wanted = np.stack([ahead * cosine + right * sine, ahead * sine - right * cosine], axis=1)
        real = walls.slide(which, states[:, :2], wanted) - states[:, :2]
        states[:, :2] += real
        paths.append(states.copy())
        feasible = np.stack([real[:, 0] * sine - real[:, 1] * cosine, real[:, 0] * cosine + real[:, 1] * sine], axis=1)
        realised.append([_realised(move, *pair) for move, pair in zip(moves, feasible.tolist(), strict=True)])
    return [tuple(moves) for moves in zip(*realised, strict=True)], np.stack(paths, axis=1)


def _realised(move: CameraMotion, right: float, ahead: float) -> CameraMotion:
    right, ahead = right / MAP_UNITS_PER_METRE, ahead / MAP_UNITS_PER_METRE
    if abs(right - move.right) < _SAME and abs(ahead - move.forward) < _SAME:
        return move
    return CameraMotion(yaw=move.yaw, right=right, forward=ahead)
