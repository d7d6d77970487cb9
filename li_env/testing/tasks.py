"""Contract suite of a task."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from gymnasium import spaces

from li_env.accel.config import AccelConfig
from li_env.accel.runtime.chunk import PlannedChunk
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import BaseWorld
from li_env.actions import ActionMapper
from li_env.episodes import EpisodeRunner
from li_env.state import EpisodeState
from li_env.tasks.task import ForeignTask, Task
from li_env.testing.answers import shown


def check_task(task: Task, world: BaseWorld, steps: int = 4, options: Mapping[str, Any] | None = None) -> None:
    """Check that a task keeps the contract of `li_env.tasks.task.Task` in a world.

    Two episodes of ``steps`` steps run side by side under the same actions as each of them alone, with ``stop`` at the
    end where the task has it. The suite checks

    - name, ``can_stop`` and reset options;
    - that ``open`` and ``begin`` depend on their generator alone and leave the options as they are;
    - that rewards are finite numbers, ends are bools, sensors lie in their spaces and are new arrays;
    - that metrics are numbers and arrays of fixed type and shape, under the same keys in every state;
    - that a state never changes: the task says the same about it after later steps;
    - that ``advance_all``, where there is one, and ``advance`` say the same;
    - that ``stop`` ends an episode.

    States are compared by what the task says about them; nothing is pickled.

    Args:
        task: the task.
        world: a world with start frames.
        steps: steps per episode; fewer if the task ends an episode by itself.
        options: reset options of both episodes, for a task that cannot begin without.

    Raises:
        ValueError: the first fault, with the name of the task.
    """
    task = task if isinstance(task, Task) else ForeignTask(task)
    _check_parts(task, world)
    checked = CheckedTask(task, world)
    actions = ActionMapper("discrete", world.spec.motion, task.can_stop)
    runner = EpisodeRunner(Engine(world, AccelConfig()), actions, "frame", False, checked)
    given = [dict(options or {})] * 2
    states = runner.start([np.random.default_rng(seed) for seed in (1, 2)], given)
    again = runner.start([np.random.default_rng(seed) for seed in (1, 2)], given)
    for one, two in zip(states, again, strict=True):
        checked.compare(one.task, two.task, "begin gave another state for the same generator")
    history = [(state.task, checked.reading(state.task)) for state in states]
    moves = actions.space.n - (1 if task.can_stop else 0)  # type: ignore[attr-defined]
    for step in range(steps):
        going = [state for state in states if not task.terminated(state.task)]
        if not going:
            break
        chosen = [(1 + 2 * step + row) % moves for row in range(len(going))]
        states = runner.step(going, chosen)
        checked.together = False
        alone = [runner.step([state], [action])[0] for state, action in zip(going, chosen, strict=True)]
        checked.together = True
        for one, two in zip(states, alone, strict=True):
            checked.compare(one.task, two.task, "an episode by itself and in a batch differ (advance, advance_all)")
        history += [(state.task, checked.reading(state.task)) for state in states]
    if task.can_stop:
        history += _stopped(runner, checked, [state for state in states if not task.terminated(state.task)])
    for task_state, reading in history:
        checked.same(
            checked.reading(task_state), reading, "a state changed after later steps; allowed: states that do not"
        )


class CheckedTask(ForeignTask):
    """A task whose answers are checked.

    Attributes:
        together: whether the task's own ``advance_all`` is called instead of ``advance``.
    """

    def __init__(self, task: Task, world: BaseWorld) -> None:
        super().__init__(task)
        self._spaces = task.sensor_spaces(world.spec)
        self._metrics: dict[str, Any] | None = None
        self.together = True

    def advance_all(self, states: Sequence[Any], results: Sequence[PlannedChunk]) -> list[Any]:
        """Advance many episodes by the task's own method, or one by one."""
        return self.task.advance_all(states, results) if self.together else super().advance_all(states, results)

    def open(self, options: Mapping[str, Any], generator: np.random.Generator) -> Any:
        """Open an episode twice from equal generators; the options must stay as they were."""
        before, twin = dict(options), copy.deepcopy(generator)
        opening = self.task.open(options, generator)
        if dict(options) != before:
            self.refuse(f"open changed the reset options to {shown(dict(options))}; allowed: reading them")
        self.task.open(before, twin)
        if twin.bit_generator.state != generator.bit_generator.state:
            self.refuse("open drew other numbers from an equal generator; allowed: a function of its arguments")
        return opening

    def reading(self, state: Any) -> dict[str, Any]:
        """Return all that the task says about a state, checked."""
        reward, ended = self.task.reward(state), self.task.terminated(state)
        if isinstance(reward, bool) or not isinstance(reward, int | float | np.floating) or not np.isfinite(reward):
            self.refuse(f"reward={shown(reward)}; allowed: a finite number")
        if not isinstance(ended, bool | np.bool_):
            self.refuse(f"terminated={shown(ended)}; allowed: True or False")
        return {
            "reward": float(reward),
            "terminated": bool(ended),
            "sensors": self._checked_sensors(state),
            "metrics": self._checked_metrics(state),
        }

    def compare(self, one: Any, two: Any, what: str) -> None:
        """Refuse two states about which the task says different things."""
        self.same(self.reading(one), self.reading(two), what)

    def same(self, one: Mapping[str, Any], two: Mapping[str, Any], what: str) -> None:
        """Refuse two readings that differ, naming where."""
        for key in ("reward", "terminated"):
            if one[key] != two[key]:
                self.refuse(f"{what}: {key} {one[key]!r} and {two[key]!r}")
        for group in ("sensors", "metrics"):
            for key, value in one[group].items():
                if not np.array_equal(value, two[group][key], equal_nan=np.asarray(value).dtype.kind == "f"):
                    self.refuse(f"{what}: {group} {key!r} {shown(value)} and {shown(two[group][key])}")

    def refuse(self, what: str) -> NoReturn:
        """Raise the ``ValueError`` that names the task and its fault."""
        raise ValueError(f"task {self.name!r}: {what}")

    def _checked_sensors(self, state: Any) -> dict[str, np.ndarray]:
        sensors, twins = self.task.sensors(state), self.task.sensors(state)
        if sensors.keys() != self._spaces.keys():
            self.refuse(f"sensors have keys {shown(list(sensors))}; allowed: {shown(list(self._spaces))}")
        for key, space in self._spaces.items():
            if not space.contains(sensors[key]):
                self.refuse(f"sensor {key!r}: {shown(sensors[key])} is not in its space; allowed: {shown(space)}")
            if isinstance(sensors[key], np.ndarray) and np.shares_memory(sensors[key], twins[key]):
                self.refuse(f"sensor {key!r} shares its array between calls; allowed: a new array")
        return {key: np.array(value) for key, value in sensors.items()}

    def _checked_metrics(self, state: Any) -> dict[str, Any]:
        metrics = self.task.metrics(state)
        for key, value in metrics.items():
            array = np.asarray(value)
            if not isinstance(key, str) or key.startswith("_") or array.dtype.kind not in "biuf":
                self.refuse(f"metric {shown(key)}={shown(value)}; allowed: numbers and arrays, keys without leading _")
        kinds = {key: (np.asarray(value).dtype, np.shape(value)) for key, value in metrics.items()}
        first = self._metrics = self._metrics or kinds
        if kinds.keys() != first.keys():
            self.refuse(f"metrics have keys {shown(list(kinds))}; allowed: always {shown(list(first))}")
        for key, kind in kinds.items():
            if kind != first[key]:
                was = f"{first[key][0]} {list(first[key][1])}"
                self.refuse(f"metric {key!r} is {kind[0]} {list(kind[1])}; allowed: always {was}")
        return {key: np.array(value) for key, value in metrics.items()}


def _check_parts(task: Any, world: BaseWorld) -> None:
    """Check name, methods, options and sensor spaces."""
    name = task.name

    def refuse(what: str) -> NoReturn:
        raise ValueError(f"task {name if isinstance(name, str) else type(task).__name__!r}: {what}")

    if not isinstance(name, str) or not name:
        refuse(f"name={shown(name)}; allowed: a text")
    if not isinstance(task.can_stop, bool):
        refuse(f"can_stop={shown(task.can_stop)}; allowed: True or False")
    options = task.options
    if not isinstance(options, tuple) or not all(isinstance(option, str) for option in options):
        refuse(f"options={shown(options)}; allowed: a tuple of names")
    sensors, again = task.sensor_spaces(world.spec), task.sensor_spaces(world.spec)
    if not isinstance(sensors, dict) or not all(isinstance(each, spaces.Space) for each in sensors.values()):
        refuse(f"sensor_spaces: {shown(sensors)}; allowed: a dictionary of Gymnasium spaces")
    if sensors != again or "rgb" in sensors:
        refuse(f"sensor_spaces: {shown(sensors)}; allowed: always the same, without 'rgb', which is the camera")


def _stopped(
    runner: EpisodeRunner, checked: CheckedTask, states: Sequence[EpisodeState]
) -> list[tuple[Any, dict[str, Any]]]:
    """Stop episodes; their states with what the task says about them."""
    stop = runner.actions.space.n - 1  # type: ignore[attr-defined]
    ended = [state.task for state in runner.step(states, [stop] * len(states))]
    for state in ended:
        if not checked.task.terminated(state):
            checked.refuse("terminated is False after stop; allowed: True")
    return [(state, checked.reading(state)) for state in ended]
