"""Clips for trainers of video world models: per episode a video, its cameras, its actions and a prompt."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from li_env.datasets.arrays import save_arrays
from li_env.datasets.episode_rows import EpisodeRows
from li_env.datasets.video import Codec, encode, encode_picture


def write_part(folder: Path, episode: EpisodeRows, fps: float, codec: Codec) -> None:
    """Write the clip of an episode.

    ``video.mp4`` has all F frames. ``camera.npz`` has ``extrinsics_c2w`` float64 [F, 4, 4] (OpenCV axes) and
    ``intrinsics`` float64 [F, 4] in pixels. ``actions.npz`` has ``action`` [F - 1, k] and ``motion`` [F - 1, 4] that
    lead from each frame to the next. ``traj_data.npz`` has ``position`` [F, 2] and ``yaw`` [F] in radians, as visual
    navigation models read them. ``goal.png`` is the picture of the goal, where the task has one.
    """
    encode(folder / "video.mp4", episode.frames, fps, codec)
    count = len(episode.frames)
    camera = episode.rows["camera.intrinsics"][0]
    save_arrays(folder / "camera.npz", extrinsics_c2w=episode.poses, intrinsics=np.tile(camera, (count, 1)))
    moved = {"action": episode.rows["action"][: count - 1], "motion": episode.rows["camera.motion"][: count - 1]}
    save_arrays(folder / "actions.npz", **moved)
    yaw = np.arctan2(episode.poses[:, 0, 2], episode.poses[:, 2, 2])
    save_arrays(folder / "traj_data.npz", position=episode.poses[:, [0, 2], 3], yaw=yaw)
    if episode.goal is not None:
        (folder / "goal.png").write_bytes(encode_picture(episode.goal))
    (folder / "prompt.txt").write_text(episode.task + "\n", encoding="utf-8")
