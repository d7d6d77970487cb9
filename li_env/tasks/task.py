"""The contract between episodes and a task."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium import spaces

from li_env.accel.runtime.chunk import PlannedChunk
from li_env.accel.world_spec import WorldSpec

TaskState = Any
"""Opaque, immutable: what a task knows about one moment of one episode."""


@dataclass(frozen=True, eq=False)
class Opening:
    """How an episode begins.

    Attributes:
        start: options of the start view: ``image`` or ``start``, ``pose``, ``prompt``.
        seed: of the noise; ``None`` leaves it to the seed of the reset.
        goal: what the task itself wants to remember until `Task.begin`.
        frame: the start frame, uint8 [H, W, 3], read-only; filled in before `Task.begin`.
    """

    start: Mapping[str, Any]
    seed: int | None = None
    goal: Any = None
    frame: np.ndarray | None = None


@runtime_checkable
class Task(Protocol):
    """Start, reward, end, sensors and metrics of an episode.

    Attributes:
        name: as in ``gymnasium.make(..., task=name)``.
        can_stop: whether the action space has ``stop``, which ends an episode without making a chunk.
        options: the reset options that `open` understands beside those of the start view.

    A task is shown the frames of every chunk. One that does not look at them says ``needs_frames = False`` as an
    attribute of its class: it then runs while a GPU still makes the frames.
    """

    name: str
    can_stop: bool
    options: tuple[str, ...]

    def sensor_spaces(self, spec: WorldSpec) -> dict[str, spaces.Space[Any]]:
        """Sensors beside the camera. Without any the observation is the frames, else a Dict with them as ``rgb``."""
        ...

    def open(self, options: Mapping[str, Any], generator: np.random.Generator) -> Opening:
        """Choose an episode.

        Raises:
            ValueError: an option that is not allowed.
        """
        ...

    def begin(self, opening: Opening, pose: np.ndarray, generator: np.random.Generator) -> TaskState:
        """The state at the start, with the camera at ``pose`` [4, 4].

        Raises:
            ValueError: the goal cannot be one.
        """
        ...

    def advance(self, state: TaskState, result: PlannedChunk | None) -> TaskState:
        """The state after a chunk, or after ``stop`` (``None``).

        ``result`` is a `ChunkResult` whose ``frames`` are the new ones, uint8 [n, H, W, 3], an array on the host that
        may not be written to; with ``needs_frames = False`` it is a `PlannedChunk`, which has none.

        A task may also have ``advance_all(states, results)``, the same for chunks of many episodes at once.
        """
        ...

    def reward(self, state: TaskState) -> float:
        """Of the step that led to ``state``."""
        ...

    def terminated(self, state: TaskState) -> bool:
        """Whether the task has ended."""
        ...

    def sensors(self, state: TaskState) -> dict[str, np.ndarray]:
        """Readings of the sensors in `sensor_spaces`: always new arrays."""
        ...

    def metrics(self, state: TaskState) -> dict[str, Any]:
        """Numbers for ``info``; the same keys at every moment."""
        ...


class BaseTask:
    """A task without a goal, to build one's own on: any start view will do, it never ends and tells nothing.

    What is left to write is `Task.begin`, `Task.advance` and `Task.reward`, and whatever is to be otherwise.
    """

    name = "task"
    can_stop = False
    options: tuple[str, ...] = ()

    def sensor_spaces(self, spec: WorldSpec) -> dict[str, spaces.Space[Any]]:
        """None."""
        return {}

    def open(self, options: Mapping[str, Any], generator: np.random.Generator) -> Opening:
        """Any start view."""
        return Opening(options)

    def terminated(self, state: TaskState) -> bool:
        """Never."""
        return False

    def sensors(self, state: TaskState) -> dict[str, np.ndarray]:
        """None."""
        return {}

    def metrics(self, state: TaskState) -> dict[str, Any]:
        """None."""
        return {}


def needs_frames(task: Task) -> bool:
    """Whether a task waits for the frames of a chunk: unless its own class says no.

    A task that passes the attributes of another one on does not thereby promise to be as blind as that one.
    """
    return bool(inspect.getattr_static(task, "needs_frames", True))
