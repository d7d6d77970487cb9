"""Navigation to a goal: common parts of PointGoal and ImageGoal.

Measures have the names and definitions of Habitat-Lab's navigation measures: ``distance_to_goal``, ``success``, ``spl``
(Anderson et al. 2018, arXiv 1807.06757), ``soft_spl`` (Datta et al. 2020, arXiv 2009.03231), ``num_steps``;
``collisions`` counts steps in which a wall changed a motion at all, ``path_length`` adds up the straight distances
from latent to latent: docs/tasks.md says how that compares with Habitat's. The reward is that of Habitat's PointNav
training: the distance that the step came closer, a slack reward per step, and a success reward.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib import resources
from typing import Any

import numpy as np
from gymnasium import spaces

from li_env.accel.geometry.camera import CameraMotion, move
from li_env.accel.ground_truth import GroundTruth
from li_env.accel.runtime.chunk import PlannedChunk
from li_env.accel.world_spec import WorldSpec
from li_env.fitted_scans import FittedScan
from li_env.images import fit_image
from li_env.tasks.dataset import EpisodeDataset, EpisodeRecord, Pose2D
from li_env.tasks.distances import Distance, PathLength, StraightLine, distances
from li_env.tasks.goals import Goal, Wish
from li_env.tasks.realised import path_lengths, touched
from li_env.tasks.scan_goals import ScanGoals
from li_env.tasks.task import Opening, Task
from li_env.validation import check_keys, check_number
from li_env.yaml_text import parse_yaml

_OWN_START = ("image", "start", "pose", "prompt", "view")


@dataclass(frozen=True)
class NavigationRules:
    """Radius, rewards and goal distances of navigation; lengths in the world's unit.

    Attributes:
        success_radius: ``stop`` within it is success.
        success_reward: added then.
        slack_reward: added in every step.
        goal_distance: (least, most) distance of goals that are drawn because no dataset names them.
    """

    success_radius: float
    success_reward: float
    slack_reward: float
    goal_distance: tuple[float, float]

    def __post_init__(self) -> None:
        check_number("success_radius", self.success_radius, 0.0, above=True)
        check_number("success_reward", self.success_reward)
        check_number("slack_reward", self.slack_reward)
        low, high = self.goal_distance
        check_number("goal_distance[0]", low, 0.0, above=True)
        check_number("goal_distance[1]", high, low)

    @classmethod
    def default(cls) -> NavigationRules:
        """Read ``configs/tasks/navigation.yaml``."""
        text = (resources.files("li_env.configs") / "tasks" / "navigation.yaml").read_text(encoding="utf-8")
        data = parse_yaml(text, "navigation.yaml")
        check_keys("navigation.yaml:", data, [item.name for item in fields(cls)])
        return cls(**{**data, "goal_distance": tuple(data["goal_distance"])})


@dataclass(frozen=True, eq=False)
class NavigationState:
    """State between two steps. ``closer``: distance that the last step came nearer; ``steps`` counts ``stop`` too."""

    goal: Goal
    pose: np.ndarray
    start_distance: float
    distance: float
    closer: float = 0.0
    path_length: float = 0.0
    collisions: int = 0
    steps: int = 0
    stopped: bool = False


class Navigation(Task):
    """Base of the goal tasks.

    Args:
        spec: of the world.
        dataset: episodes to draw from; without it goals are drawn around the start, with Euclidean distances.
        rules: `NavigationRules.default` if left out.
        truth: knowledge of the dataset's maps; with it, distances to a goal are lengths of shortest paths.

    Raises:
        ValueError: the dataset names maps and there is no ``truth``.
    """

    name = "navigation"
    can_stop = True
    needs_frames = False
    options: tuple[str, ...] = ("episode", "goal", "goal_view")

    def __init__(
        self,
        spec: WorldSpec,
        dataset: EpisodeDataset | None = None,
        rules: NavigationRules | None = None,
        truth: GroundTruth | None = None,
    ) -> None:
        self.spec, self.dataset, self.truth = spec, dataset, truth
        self._drawable: tuple[frozenset[int], list[tuple[int, int]]] = frozenset(), []
        self.rules = NavigationRules.default() if rules is None else rules
        named = (
            [] if dataset is None else [record.map_seed for record in dataset.episodes if record.map_seed is not None]
        )
        if named and truth is None:
            raise ValueError(
                f"dataset: map_seed={named[0]} is of no use to world {spec.name!r}, which knows no maps; allowed: "
                "episodes without map_seed"
            )

    def draw_episode(
        self, options: Mapping[str, Any], maps: Collection[int], generator: np.random.Generator
    ) -> tuple[int, int] | None:
        """Choose the episode that the options name, or draw one of the dataset's on ``maps``: (index, map)."""
        if self.dataset is None or set(options) - {"episode"}:
            return None
        wanted = frozenset(maps)
        if self._drawable[0] != wanted:
            seeds = [record.map_seed for record in self.dataset.episodes]
            self._drawable = wanted, [(index, seed) for index, seed in enumerate(seeds) if seed in wanted]
        drawable = self._drawable[1]
        if "episode" in options:
            return next((each for each in drawable if each[0] == options["episode"]), None)
        return drawable[int(generator.integers(len(drawable)))] if drawable else None

    def open(self, options: Mapping[str, Any], generator: np.random.Generator) -> Opening:
        """Choose an episode of the dataset, drawn unless ``episode`` names it, or the start that the options describe.

        In a scan only ``episode`` chooses from the dataset; otherwise the goal is a view of the scan.

        Raises:
            ValueError: an option that is not allowed, or two that exclude each other.
        """
        scan: FittedScan | None = options.get("scan")
        goals = None if scan is None else ScanGoals(scan, self.truth, self.spec.view_distance)
        own = [name for name in options if name not in ("episode", "scan")]
        if "episode" in options and own:
            raise ValueError(f"reset option 'episode' excludes the others; given with it: {', '.join(sorted(own))}")
        if self.dataset is None or own or (goals is not None and "episode" not in options):
            if "episode" in options:
                raise ValueError("reset option 'episode' needs a dataset: gymnasium.make(..., dataset=FILE)")
            given = {name: options[name] for name in _OWN_START if name in options}
            return Opening(given, None, self._wish(options, goals))
        count = len(self.dataset.episodes)
        index = options.get("episode", int(generator.integers(count)))
        if isinstance(index, bool) or not isinstance(index, int | np.integer) or not 0 <= index < count:
            raise ValueError(f"episode={index!r} is not in the dataset; allowed: 0 to {count - 1}")
        record = self.dataset.episodes[int(index)]
        shown_map = None if scan is None else scan.scan.map_seed
        if None not in (record.map_seed, shown_map) and record.map_seed != shown_map:
            raise ValueError(
                f"episode={index!r} is on map {record.map_seed}; allowed: one on map {shown_map} of the scan"
            )
        start: dict[str, Any] = {"pose": pose_at(record.pose)}
        if "start" in self.dataset.frames:
            start["image"] = self.dataset.frames["start"][record.start]
        else:
            start["start"] = record.start
        if record.map_seed is not None:
            start["prompt"] = map_prompt(record.map_seed)
        return Opening(start, record.seed, self._known(int(index), record))

    def begin(self, opening: Opening, pose: np.ndarray, generator: np.random.Generator) -> NavigationState:
        """Begin at the start.

        Raises:
            ValueError: no path leads to the goal.
        """
        goal = opening.goal if isinstance(opening.goal, Goal) else self._drawn(opening.goal, pose, generator)
        distance = goal.distance(float(pose[0, 3]), float(pose[2, 3]))
        if not np.isfinite(distance):
            raise ValueError(f"goal={list(goal.position)} cannot be reached from the start")
        return NavigationState(goal, np.array(pose, dtype=np.float64), distance, distance)

    def advance(self, state: NavigationState, result: PlannedChunk | None) -> NavigationState:
        """Return the state after a chunk, or after ``stop``."""
        if result is None:
            return replace(state, closer=0.0, steps=state.steps + 1, stopped=True)
        pose = np.asarray(result.poses[-1], dtype=np.float64)
        distance = state.goal.distance(float(pose[0, 3]), float(pose[2, 3]))
        length = float(sum(np.hypot(motion.right, motion.forward) for motion in result.motions))
        return replace(
            state,
            pose=pose,
            distance=distance,
            closer=state.distance - distance,
            path_length=state.path_length + length,
            collisions=state.collisions + touched(result),
            steps=state.steps + 1,
        )

    def advance_all(self, states: Sequence[NavigationState], results: Sequence[PlannedChunk]) -> list[NavigationState]:
        """Advance many episodes at a fraction of the time of `advance`."""
        if type(self).advance is not Navigation.advance:  # a subclass advances otherwise
            return super().advance_all(states, results)
        poses = [np.array(result.poses[-1], dtype=np.float64) for result in results]
        places = np.array([pose[[0, 2], 3] for pose in poses])
        away = distances([state.goal.distance for state in states], places).tolist()
        return [
            NavigationState(
                *(state.goal, pose, state.start_distance, distance, state.distance - distance),
                path_length=state.path_length + length,
                collisions=state.collisions + touched(result),
                steps=state.steps + 1,
                stopped=state.stopped,
            )
            for state, result, pose, distance, length in zip(
                states, results, poses, away, path_lengths(results), strict=True
            )
        ]

    def reward(self, state: NavigationState) -> float:
        """Return length units closer + slack reward + success reward."""
        if state.steps == 0:
            return 0.0
        return state.closer + self.rules.slack_reward + self.rules.success_reward * self._success(state)

    def terminated(self, state: NavigationState) -> bool:
        """Tell whether the agent stopped."""
        return state.stopped

    def metrics(self, state: NavigationState) -> dict[str, Any]:
        """Return Habitat's measures, as if the episode ended now."""
        return {key: values[0] for key, values in self._measures([state]).items()}

    def metrics_all(self, states: Sequence[NavigationState]) -> Mapping[str, Any]:
        """Return the measures of many episodes at a fraction of the time of `metrics`."""
        if type(self).metrics is not Navigation.metrics:  # a subclass measures otherwise
            return super().metrics_all(states)
        return self._measures(states)

    def _measures(self, states: Sequence[NavigationState]) -> dict[str, Any]:
        starts = [state.start_distance for state in states]
        efficiency = [
            start / max(start, state.path_length) if start > 0 else 1.0
            for start, state in zip(starts, states, strict=True)
        ]
        nearer = [
            max(0.0, 1 - state.distance / start) if start > 0 else 1.0
            for start, state in zip(starts, states, strict=True)
        ]
        success = [self._success(state) for state in states]
        return {
            "distance_to_goal": [state.distance for state in states],
            "success": success,
            "spl": [one * two for one, two in zip(success, efficiency, strict=True)],
            "soft_spl": [one * two for one, two in zip(nearer, efficiency, strict=True)],
            "path_length": [state.path_length for state in states],
            "collisions": [state.collisions for state in states],
            "num_steps": [state.steps for state in states],
            "start_distance": starts,
            "goal": np.array([state.goal.position for state in states]),
            "episode_index": [state.goal.episode for state in states],
        }

    def _success(self, state: NavigationState) -> float:
        return float(state.stopped and state.distance < self.rules.success_radius)

    def _wish(self, options: Mapping[str, Any], scan: ScanGoals | None) -> Wish:
        """Read the wished goal from the options, for `_drawn`."""
        return Wish.of(options, scan)

    def _drawn(self, wish: Wish, pose: np.ndarray, generator: np.random.Generator) -> Goal:
        """Return the goal of the options, or draw a view of the scan, without a scan a place inside the first view."""
        position, image = wish.position, wish.image
        if position is None and wish.scan is not None:
            position, image = wish.scan.view(wish.scan.draw(pose, self.rules.goal_distance, generator))
        if position is None:
            half = self.spec.fov[0] / 2
            there = move(
                pose,
                CameraMotion(
                    yaw=float(generator.uniform(-half, half)),
                    forward=float(generator.uniform(*self.rules.goal_distance)),
                ),
            )
            position = float(there[0, 3]), float(there[2, 3])
        distance: Distance = StraightLine(*position) if wish.scan is None else wish.scan.distance(position)
        return Goal(position, distance, image, -1)

    def _known(self, index: int, record: EpisodeRecord) -> Goal:
        x, z, _ = record.goal
        frames = None if self.dataset is None else self.dataset.frames.get("goal")
        image = None
        if frames is not None and record.goal_frame is not None:
            image = fit_image(frames[record.goal_frame], self.spec.frame_size)
        return Goal((x, z), self._distance(index, record), image, index)

    def _distance(self, index: int, record: EpisodeRecord) -> Distance:
        """Return the distance to a goal: along the shortest path where the map is known, else straight."""
        x, z, _ = record.goal
        if record.map_seed is None or self.truth is None:
            return StraightLine(x, z)
        try:
            field = self.truth.distance(record.map_seed, (x, z))
        except ValueError as error:
            raise ValueError(f"episodes[{index}]: goal={[x, z]} is outside map {record.map_seed}: {error}") from None
        return PathLength(field)


class PointGoal(Navigation):
    """Navigation to a point. Sensor ``pointgoal``: distance (straight line) and bearing from the current pose.

    The bearing is in radians in (-pi, pi], 0 straight ahead and positive to the right, as yaw is everywhere here
    (Habitat-Lab's ``pointgoal_with_gps_compass`` has the other sign).
    """

    name = "pointgoal"

    def sensor_spaces(self, spec: WorldSpec) -> dict[str, spaces.Space[Any]]:
        """Return the space of ``pointgoal``: float32 [2]."""
        pi = np.float32(np.pi)
        return {"pointgoal": spaces.Box(np.array([0, -pi], np.float32), np.array([np.inf, pi], np.float32))}

    def sensors(self, state: NavigationState) -> dict[str, np.ndarray]:
        """Measure (distance in length units, bearing in radians)."""
        return {"pointgoal": self._readings([state])[0]}

    def sensors_all(self, states: Sequence[NavigationState]) -> Mapping[str, Any]:
        """Measure for many episodes at a fraction of the time of `sensors`."""
        if type(self).sensors is not PointGoal.sensors:  # a subclass has other sensors
            return super().sensors_all(states)
        return {"pointgoal": self._readings(states)}

    def _readings(self, states: Sequence[NavigationState]) -> np.ndarray:
        poses = np.stack([state.pose for state in states])
        x, z = (np.array([state.goal.position for state in states]) - poses[:, [0, 2], 3]).T
        # The right axis is horizontal at any pitch, the forward axis is not.
        right_x, right_z = poses[:, 0, 0], poses[:, 2, 0]
        bearing = np.arctan2(x * right_x + z * right_z, z * right_x - x * right_z)
        return np.stack([np.hypot(x, z), bearing], axis=-1, dtype=np.float32, casting="same_kind")


class ImageGoal(Navigation):
    """Navigation to a view: sensor ``imagegoal``, uint8 [H, W, 3]. Habitat-Lab's ImageNav."""

    name = "imagegoal"
    options: tuple[str, ...] = ("episode", "goal", "goal_image", "goal_view")

    def sensor_spaces(self, spec: WorldSpec) -> dict[str, spaces.Space[Any]]:
        """Return the space of ``imagegoal``: a frame."""
        return {"imagegoal": spaces.Box(0, 255, (*spec.frame_size, 3), np.uint8)}

    def sensors(self, state: NavigationState) -> dict[str, np.ndarray]:
        """Return the view at the goal."""
        assert state.goal.image is not None
        return {"imagegoal": state.goal.image.copy()}

    def begin(self, opening: Opening, pose: np.ndarray, generator: np.random.Generator) -> NavigationState:
        """Begin at the start.

        Raises:
            ValueError: the episode has no picture of its goal, or no path leads to the goal.
        """
        state = super().begin(opening, pose, generator)
        if state.goal.image is None:
            raise ValueError(
                "imagegoal needs a picture of the goal: a dataset with goal frames, a scan, or "
                "reset(options={'goal': [x, z], 'goal_image': uint8 [H, W, 3]})"
            )
        return state

    def _wish(self, options: Mapping[str, Any], scan: ScanGoals | None) -> Wish:
        if ("goal" in options) != ("goal_image" in options):
            raise ValueError("reset options 'goal' and 'goal_image' go together")
        wish = super()._wish(options, scan)
        if "goal_image" in options:
            wish = replace(wish, image=fit_image(options["goal_image"], self.spec.frame_size))
        return wish


def pose_at(pose_2d: Pose2D) -> np.ndarray:
    """Return the camera-to-world matrix [4, 4] of a level camera at (x, z, yaw in degrees)."""
    x, z, yaw = pose_2d
    pose = move(np.eye(4), CameraMotion(yaw=yaw))
    pose[[0, 2], 3] = x, z
    return pose


def map_prompt(map_seed: int) -> str:
    """Return the prompt that names a generated map to its world; worlds without maps ignore the prompt."""
    return f"map {map_seed}"
