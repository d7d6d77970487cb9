"""Contract between episodes and a task."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from li_env.accel.runtime.chunk import PlannedChunk
from li_env.accel.world_spec import WorldSpec
from li_env.vector.infos import columns_of

TaskState = Any
"""Opaque, immutable state of a task between two steps of an episode."""


@dataclass(frozen=True, eq=False)
class Opening:
    """Opening of an episode.

    Attributes:
        start: options of the start view: ``image`` or ``start``, ``pose``, ``prompt``.
        seed: of the noise; ``None`` leaves it to the seed of the reset.
        goal: value that the task keeps for `Task.begin`.
        frame: the start frame, uint8 [H, W, 3], read-only; filled in before `Task.begin`.
    """

    start: Mapping[str, Any]
    seed: int | None = None
    goal: Any = None
    frame: np.ndarray | None = None


class Task(ABC):
    """Start, reward, end, sensors and metrics of an episode.

    A task of one's own inherits from this class, sets ``name`` and writes `begin`, `advance` and `reward`; everything
    else has a default: any start view will do, the task never ends and has neither sensors nor metrics.

    Attributes:
        name: as in ``gymnasium.make(..., task=name)``.
        can_stop: whether the action space has ``stop``, which ends an episode without making a chunk.
        options: the reset options that `open` understands beside those of the start view.
        needs_frames: whether `advance` looks at frames. A task that says ``False`` runs while a GPU still makes them.
    """

    name: str = "task"
    can_stop: bool = False
    options: tuple[str, ...] = ()
    needs_frames: bool = True

    @abstractmethod
    def begin(self, opening: Opening, pose: np.ndarray, generator: np.random.Generator) -> TaskState:
        """Return the state at the start, with the camera at ``pose`` [4, 4].

        Raises:
            ValueError: the goal cannot be one.
        """

    @abstractmethod
    def advance(self, state: TaskState, result: PlannedChunk | None) -> TaskState:
        """Return the state after a chunk, or after ``stop`` (``None``).

        ``result`` is a `ChunkResult` whose ``frames`` are the new ones, uint8 [n, H, W, 3], an array on the host that
        may not be written to; with ``needs_frames = False`` it is a `PlannedChunk`, which has none.
        """

    @abstractmethod
    def reward(self, state: TaskState) -> float:
        """Return the reward of the step that led to ``state``."""

    def advance_all(self, states: Sequence[TaskState], results: Sequence[PlannedChunk]) -> list[TaskState]:
        """Call `advance` for the chunks of many episodes."""
        return [self.advance(state, result) for state, result in zip(states, results, strict=True)]

    def open(self, options: Mapping[str, Any], generator: np.random.Generator) -> Opening:
        """Choose an episode.

        Raises:
            ValueError: an option that is not allowed.
        """
        return Opening(options)

    def draw_episode(
        self, options: Mapping[str, Any], maps: Collection[int], generator: np.random.Generator
    ) -> tuple[int, int] | None:
        """Choose an episode on one of ``maps``: its index for option ``episode`` and its map.

        None where the task has no such episode, or the options describe another start.
        """
        return None

    def terminated(self, state: TaskState) -> bool:
        """Tell whether the task has ended."""
        return False

    def sensor_spaces(self, spec: WorldSpec) -> dict[str, spaces.Space[Any]]:
        """Return the spaces of sensors beside the camera.

        Without any the observation is the frames, else a Dict with the frames as ``rgb``.
        """
        return {}

    def sensors(self, state: TaskState) -> dict[str, np.ndarray]:
        """Read the sensors in `sensor_spaces`: always new arrays."""
        return {}

    def sensors_all(self, states: Sequence[TaskState]) -> Mapping[str, Any]:
        """Return the `sensors` of many episodes key by key: a sequence of arrays, or one array [B, ...]."""
        return columns_of([self.sensors(state) for state in states])

    def metrics(self, state: TaskState) -> dict[str, Any]:
        """Return numbers for ``info``, the same keys in every state."""
        return {}

    def metrics_all(self, states: Sequence[TaskState]) -> Mapping[str, Any]:
        """Return the `metrics` of many episodes key by key, one value per episode."""
        return columns_of([self.metrics(state) for state in states])


BaseTask = Task
"""Former name of `Task`; goes with the next release."""


class ForeignTask(Task):
    """A task by somebody who did not inherit from `Task` but has all of its methods.

    Attributes that it forwards from another task do not count. It sees the frames unless its own class says otherwise,
    and its episodes advance one by one.

    Args:
        task: the object.

    Raises:
        ValueError: it lacks a method.
    """

    METHODS = ("sensor_spaces", "open", "begin", "advance", "reward", "terminated", "sensors", "metrics")

    def __init__(self, task: Any) -> None:
        missing = [name for name in (*self.METHODS, "name", "can_stop", "options") if not hasattr(task, name)]
        if missing:
            raise ValueError(f"task={type(task).__name__} has no {missing[0]}; allowed: what inherits from li_env.Task")
        self.task = task
        self.name, self.can_stop, self.options = task.name, task.can_stop, task.options
        self.needs_frames = bool(inspect.getattr_static(task, "needs_frames", True))

    def begin(self, opening: Opening, pose: np.ndarray, generator: np.random.Generator) -> TaskState:
        return self.task.begin(opening, pose, generator)

    def advance(self, state: TaskState, result: PlannedChunk | None) -> TaskState:
        return self.task.advance(state, result)

    def reward(self, state: TaskState) -> float:
        return float(self.task.reward(state))

    def open(self, options: Mapping[str, Any], generator: np.random.Generator) -> Opening:
        opening: Opening = self.task.open(options, generator)
        return opening

    def terminated(self, state: TaskState) -> bool:
        return bool(self.task.terminated(state))

    def sensor_spaces(self, spec: WorldSpec) -> dict[str, spaces.Space[Any]]:
        return dict(self.task.sensor_spaces(spec))

    def sensors(self, state: TaskState) -> dict[str, np.ndarray]:
        return dict(self.task.sensors(state))

    def metrics(self, state: TaskState) -> dict[str, Any]:
        return dict(self.task.metrics(state))
