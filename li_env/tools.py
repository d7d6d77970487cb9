"""Tools: what extensions, examples and notebooks use beside the names of `li_env`, in one namespace.

::

    from li_env import tools

    tools.check_world(MyWorld())
    tools.write_video("drive.mp4", frames, fps=8)

docs/api.md says what each name is. The modules behind the names may move; the names here stay.
"""

from __future__ import annotations

from li_env.accel.config import CHOICES, preset_names
from li_env.accel.geometry.camera import MotionLimits, follow, follow_many, motion_table
from li_env.accel.planning.planner import RETRIEVAL_POLICIES
from li_env.accel.retrieval.base import RetrievalChoice, RetrievalRequest
from li_env.accel.world import ChunkRequest, MotionRequest, StartViews
from li_env.cli import main
from li_env.frames import FrameRecord, episode_frames
from li_env.images import fit_image, read_image
from li_env.infos import RegimeCode
from li_env.kernels.backend import uses_triton
from li_env.metrics import pooled_psnr, psnr, sharpness, ssim
from li_env.recording import contact_sheet, read_video, write_png, write_video
from li_env.rollouts import FinishedEpisode
from li_env.scans.scan import check_scale
from li_env.tasks import EpisodeRecord, Explore, ImageGoal, NavigationRules, Opening, PointGoal
from li_env.testing import check_task, check_world
from li_env.worlds import world_entry, world_names
from li_env.wrappers import RecordAllFrames

__all__ = [
    "CHOICES",
    "RETRIEVAL_POLICIES",
    "ChunkRequest",
    "EpisodeRecord",
    "Explore",
    "FinishedEpisode",
    "FrameRecord",
    "ImageGoal",
    "MotionLimits",
    "MotionRequest",
    "NavigationRules",
    "Opening",
    "PointGoal",
    "RecordAllFrames",
    "RegimeCode",
    "RetrievalChoice",
    "RetrievalRequest",
    "StartViews",
    "check_scale",
    "check_task",
    "check_world",
    "contact_sheet",
    "episode_frames",
    "fit_image",
    "follow",
    "follow_many",
    "main",
    "motion_table",
    "pooled_psnr",
    "preset_names",
    "psnr",
    "read_image",
    "read_video",
    "sharpness",
    "ssim",
    "uses_triton",
    "world_entry",
    "world_names",
    "write_png",
    "write_video",
]
