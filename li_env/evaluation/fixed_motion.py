"""World in which every commanded motion is realised, so that the camera follows a given path exactly."""

from __future__ import annotations

from collections.abc import Sequence

from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.world import BaseWorld, MotionRequest
from li_env.accel.world_spec import WorldSpec
from li_env.accel.world_wrapper import WorldWrapper


class FixedMotionWorld(WorldWrapper):
    """World that realises every commanded motion.

    Args:
        world: the world that generates and decodes.
        spec: its constants with other numbers, such as fewer denoising steps; the world's own if left out.
        timed: whether the world's motion limits are still computed, and then not used, so that their time is measured.
    """

    def __init__(self, world: BaseWorld, spec: WorldSpec | None = None, *, timed: bool = True) -> None:
        super().__init__(world)
        self.spec = world.spec if spec is None else spec
        self._timed = timed

    def feasible_motions(self, requests: Sequence[MotionRequest]) -> list[tuple[CameraMotion, ...]]:
        if self._timed:
            self.world.feasible_motions(requests)
        return [request.motions for request in requests]
