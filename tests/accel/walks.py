"""Camera walks and retrieval requests for tests."""

from __future__ import annotations

import numpy as np

from li_env.accel.geometry.camera import CameraMotion, follow
from li_env.accel.pose_track import PoseTrack
from li_env.accel.retrieval.base import RetrievalRequest


def wander(latents: int, seed: int, size: float = 6.0) -> np.ndarray:
    """Walk at random near the start, so that the camera keeps returning to old views."""
    generator = np.random.default_rng(seed)
    pose, poses = np.eye(4), []
    for _ in range(latents):
        home = np.linalg.norm(pose[:3, 3]) > size and pose[:3, 2] @ pose[:3, 3] > 0
        motion = CameraMotion(yaw=90.0) if home else CameraMotion(yaw=generator.choice([-15, 0, 15]), forward=0.75)
        pose = follow(pose, [motion])[0]
        poses.append(pose)
    return np.stack(poses)


def request(poses: np.ndarray, length: int, window: int = 12) -> RetrievalRequest:
    return RetrievalRequest(PoseTrack(poses[:length]), poses[length : length + 4], before=max(0, length - window))
