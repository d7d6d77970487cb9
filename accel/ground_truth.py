"""Ground truth about the scene that a world shows, for tasks, teachers and measurements.

Axes and lengths are those of the world: x right, y down, z forward, `WorldSpec.length_unit`. A point of the plane is
(x, z), a pose in the plane (x, z, yaw in degrees).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from li_env.accel.geometry.camera import CameraMotion


class DistanceField(Protocol):
    """Lengths of the shortest paths to one goal."""

    def at(self, points: np.ndarray) -> np.ndarray:
        """Return the lengths [n] of the shortest paths from points [n, 2] (x, z); infinite where there is none."""
        ...

    def near(self, points: np.ndarray) -> np.ndarray:
        """Return the same lengths, computed faster, for comparing nearby points with each other."""
        ...


class BatchedField(ABC):
    """Distance field that knows how to measure many of its class at once, each at its own point."""

    @classmethod
    @abstractmethod
    def at_each(cls, fields: Sequence[Any], points: np.ndarray) -> np.ndarray:
        """Return for each field the length `DistanceField.at` its point of ``points`` [n, 2], bit for bit: [n]."""


class GroundTruth(Protocol):
    """Knowledge of a simulator or a scan about the scene that a world shows. Maps are named by whole numbers."""

    def maps(self, split: str) -> range:
        """Return the maps of a split (``training``, ``validation``, ``test``).

        Raises:
            ValueError: no such split.
        """
        ...

    def start(self, index: int) -> tuple[int, np.ndarray]:
        """Return the map and the pose [4, 4] of a start frame of the world."""
        ...

    def sample_pose(self, map_id: int, rng: np.random.Generator) -> np.ndarray:
        """Draw a pose [4, 4] at which the camera can stand."""
        ...

    def distance(self, map_id: int, goal: tuple[float, float]) -> DistanceField:
        """Return the lengths of the shortest paths to a goal (x, z).

        Raises:
            ValueError: the goal is inside a wall or outside of the map.
        """
        ...

    def clearance(self, map_id: int, poses: np.ndarray, angles: np.ndarray, reach: float) -> np.ndarray:
        """Return the clearance in given directions: how far the camera could go straight ahead.

        Args:
            map_id: the map.
            poses: [n, 4, 4].
            angles: [k] degrees, positive to the right of a pose.
            reach: longest clearance that is measured.

        Returns:
            lengths [n, k], at most ``reach``.
        """
        ...

    def walk(
        self, map_ids: Sequence[int], poses: np.ndarray, motions: Sequence[Sequence[CameraMotion]]
    ) -> list[tuple[CameraMotion, ...]]:
        """Return the motions that walls allow, one tuple per episode, from the poses [n, 4, 4] before the first."""
        ...

    def render(self, map_ids: Sequence[int], poses: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Render views: poses [k, 4, 4] per map -> frames uint8 [k, H, W, 3] per map.

        Raises:
            MissingExtraError: the simulator is not installed.
            ValueError: a pose that cannot be shown.
        """
        ...
