"""World that follows commanded motions exactly."""

from __future__ import annotations

from collections.abc import Sequence

from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.world import MotionRequest
from li_env.accel.world_wrapper import WorldWrapper


class FixedMotionWorld(WorldWrapper):
    """A world in which every commanded motion happens.

    The world's own motion limits are still computed, so that their time is measured, and then not used.
    """

    def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
        self.world.feasible_motions(requests)
        return [request.motions for request in requests]
