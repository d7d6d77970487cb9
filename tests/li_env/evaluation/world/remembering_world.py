"""A world that repeats a view of the same pose if its context holds one, in places that are drawn by their poses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import pixel_unshuffle

from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.view_bank import ViewBank
from li_env.accel.world import MotionRequest
from li_env.evaluation.fidelity.reference_videos import ReferenceVideos
from li_env.evaluation.fidelity.walks import world_matrices
from tests.li_env.evaluation.fidelity.photographic_world import PhotographicWorld, picture


class RememberingWorld(PhotographicWorld):
    """Without noise; ``stops`` says whether every step is halved."""

    def __init__(self, stops: bool = False) -> None:
        super().__init__(noise=0.0)
        self._stops = stops

    def encode(self, frames: np.ndarray) -> torch.Tensor:
        return pixel_unshuffle(torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255, 16)

    def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
        if self._stops:
            return super().feasible_motions(requests)
        return [tuple(request.motions) for request in requests]


class PictureRenderer:
    """The game's place: every pose has a picture of its own, the same in all maps."""

    def render(self, map_seeds: Sequence[int], poses: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [np.stack([picture(pose) for pose in world_matrices(each)]) for each in poses]

    def close(self) -> None:
        return None


def exact_banks(world: RememberingWorld, videos: ReferenceVideos) -> list[ViewBank]:
    """Make scans whose views are the frames of the walks themselves."""
    return [
        ViewBank(world.encode(frames), poses, world.spec.view_distance)
        for frames, poses in zip(videos.frames, videos.poses, strict=True)
    ]
