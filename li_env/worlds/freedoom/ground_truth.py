"""Ground truth of the freedoom worlds: the generated maps, their walls, their shortest paths and their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from li_env.accel.geometry.camera import CameraMotion
from li_env.accel.ground_truth import BatchedField
from li_env.doom import splits
from li_env.doom.collision import Walls
from li_env.doom.geodesic import MapDistance, map_distance
from li_env.doom.known_maps import known_map, known_walls
from li_env.doom.render_pool import FrameRenderer, LocalRenderer
from li_env.doom.renderer import MAP_UNITS_PER_METRE
from li_env.doom.walking import doom_points, doom_poses, exact_doom_poses, level_pose, planar_poses, walk
from li_env.validation import check_choice
from li_env.worlds.common.game import require_game
from li_env.worlds.freedoom.sizes import SMALL, Size
from li_env.worlds.freedoom.start_frames import StartFrames


def episodes_file(size: Size) -> Path:
    """Return the file of navigation episodes of the world of a size."""
    return size.data / "episodes.json"


EPISODES_FILE = episodes_file(SMALL)
"""Navigation episodes that begin at the shipped start frames of the small size: one each, on held-out maps."""

_MAPS = 256  # whose walls are kept together


class PathField(BatchedField):
    """Lengths in metres of the shortest paths to a goal (`li_env.accel.ground_truth.DistanceField`)."""

    def __init__(self, field: MapDistance) -> None:
        self._field = field

    def at(self, points: np.ndarray) -> np.ndarray:
        return self._field.of(doom_points(points)) / MAP_UNITS_PER_METRE

    @classmethod
    def at_each(cls, fields: Sequence[PathField], points: np.ndarray) -> np.ndarray:
        return MapDistance.of_each([each._field for each in fields], doom_points(points)) / MAP_UNITS_PER_METRE

    def near(self, points: np.ndarray) -> np.ndarray:
        return self.at(points)


@lru_cache(maxsize=4096)
def _path_field(map_id: int, x: float, z: float) -> PathField:
    """Return one object for one goal, so that episodes that share the goal are measured together."""
    return PathField(map_distance(map_id, x, z))


class FreedoomTruth:
    """Maps by their seeds (`li_env.accel.ground_truth.GroundTruth`).

    Args:
        starts: the start frames of the world.
        renderer: shows poses; engines in this process by default, started at the first picture.
        frame_size: (height, width) of what these engines show.
    """

    def __init__(
        self,
        starts: StartFrames,
        renderer: FrameRenderer | None = None,
        frame_size: tuple[int, int] = SMALL.frame_size,
    ) -> None:
        self._starts, self._renderer, self._frame_size = starts, renderer, frame_size
        # A cache and no state: which maps were met last does not change what happens in them.
        self._maps: tuple[dict[int, int], Walls | None] = ({}, None)

    def maps(self, split: str) -> range:
        found: dict[str, range] = {
            "training": splits.TRAINING, "validation": splits.VALIDATION, "test": splits.TEST,
        }  # fmt: skip
        return found[check_choice("split", split, found)]

    def start(self, index: int) -> tuple[int, np.ndarray]:
        return int(self._starts.map_seeds[index]), level_pose(*self._starts.map_poses[index].tolist())

    def sample_pose(self, map_id: int, rng: np.random.Generator) -> np.ndarray:
        x, y = known_map(map_id).space.sample(rng)
        return level_pose(-y / MAP_UNITS_PER_METRE, x / MAP_UNITS_PER_METRE, float(rng.uniform(-180, 180)))

    def distance(self, map_id: int, goal: tuple[float, float]) -> PathField:
        return _path_field(map_id, *goal)

    def clearance(self, map_id: int, poses: np.ndarray, angles: np.ndarray, reach: float) -> np.ndarray:
        space = known_map(map_id).space
        lengths = [
            space.clear_lengths((x, y), np.radians(heading - angles), reach * MAP_UNITS_PER_METRE)
            for x, y, heading in exact_doom_poses(planar_poses(poses))
        ]
        return np.stack(lengths) / MAP_UNITS_PER_METRE

    def walk(
        self, map_ids: Sequence[int], poses: np.ndarray, motions: Sequence[Sequence[CameraMotion]]
    ) -> list[tuple[CameraMotion, ...]]:
        walls, which = self._walls(map_ids)
        return walk(walls, which, exact_doom_poses(planar_poses(poses)), motions)[0]

    def render(self, map_ids: Sequence[int], poses: Sequence[np.ndarray]) -> list[np.ndarray]:
        if self._renderer is None:
            require_game("rendering the game")
            self._renderer = LocalRenderer(frame_size=self._frame_size)
        return self._renderer.render(map_ids, [doom_poses(planar_poses(each)) for each in poses])

    def _walls(self, map_seeds: Sequence[int]) -> tuple[Walls, np.ndarray]:
        """Return the walls of all these maps and the index [n] of each map in them; cached until another map comes."""
        distinct = set(map_seeds)
        if len(distinct) == 1:
            return known_walls(map_seeds[0]), np.zeros(len(map_seeds), dtype=int)
        order, walls = self._maps
        if walls is None or not order.keys() >= distinct:
            seeds = list(dict.fromkeys([*map_seeds, *order]))[: max(_MAPS, len(map_seeds))]
            order, walls = {seed: row for row, seed in enumerate(seeds)}, Walls.join([known_walls(s) for s in seeds])
            self._maps = order, walls
        return walls, np.array([order[seed] for seed in map_seeds])
