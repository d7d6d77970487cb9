"""Episodes of one world as values: start them, step a batch of them, read what an agent gets to see.

Nothing is kept between calls: a state goes in, the next state comes out. The single environment holds one state, the
vector environment a list of states. Both get the same frames, rewards and infos from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from li_env.accel.config import AccelConfig
from li_env.accel.device import on_host
from li_env.accel.runtime.chunk import PlannedChunk
from li_env.accel.runtime.engine import Engine
from li_env.accel.world import BaseWorld, check_world_type
from li_env.actions import ActionMapper
from li_env.episode_starts import open_start, start_frames
from li_env.fitted_scans import ScanCache, ScanSource, scan_sources
from li_env.frames import frame_poses
from li_env.infos import Columns, describe
from li_env.latent_actions import LatentActions
from li_env.observations import FrameFormat
from li_env.pending_episodes import PendingEpisodes
from li_env.state import EpisodeState, StepRecord, kind_of, latent_rows, read_only, slide
from li_env.tasks import EpisodeDataset, Explore, Task, load_task
from li_env.tasks.task import TaskState
from li_env.validation import check_choice, check_flag, check_keys, check_mapping
from li_env.vector.infos import stack_columns
from li_env.worlds.registry import load_world

Observation = Any
"""An array of the observation space, or a dictionary of arrays; frames may be tensors (``device_frames``)."""

Preset = AccelConfig | str | Path | Mapping[str, Any]
"""Acceleration settings in one of the forms that `AccelConfig.of` takes."""

OBSERVATIONS = ("chunk", "frame")
START_OPTIONS = ("image", "prompt", "pose", "start", "scan", "view", "state", "preset")


def open_episodes(
    world: str | BaseWorld = "freedoom",
    preset: Preset = "off",
    action_space: str = "discrete",
    observation: str = "chunk",
    device: str = "auto",
    weights: str | Path | None = None,
    timings: bool = False,
    task: str | Task = "explore",
    dataset: str | Path | EpisodeDataset | None = None,
    device_frames: bool = False,
    plan_info: bool = False,
    frame_size: tuple[int, int] | None = None,
    grayscale: bool = False,
    latent_actions: bool = False,
    scan: ScanSource | None = None,
    scans: Sequence[ScanSource] | str | Path | None = None,
    batch: int = 1,
) -> EpisodeRunner:
    """Make an `EpisodeRunner` from the arguments of the environments; see `li_env.env.LightInteractionEnv`.

    With ``device_frames`` frames are tensors on the world's device from the first step on; ``batch`` is the number of
    episodes that the environment holds.

    Raises:
        ValueError: an argument that is not allowed; the message names it, its value and what is allowed.
    """
    config = AccelConfig.of(preset)
    if isinstance(world, str):
        model = load_world(world, device=device, weights=weights)
    elif weights is not None:
        # Silently ignoring the folder would run other weights than the user asked for.
        raise ValueError(f"weights={str(weights)!r} goes with a world's name; a world object brings its own")
    else:
        check_world_type(world)
        model = world
    chosen = load_task(task, model, dataset)
    held = ActionMapper(action_space, model.spec.motion, chosen.can_stop)
    each = check_flag("latent_actions", latent_actions)
    actions = LatentActions(held, model.spec.chunk_latents) if each else held
    form = FrameFormat(model.spec.frame_size, frame_size, grayscale)
    engine = Engine(model, config, device_frames, batch, by_cost=True)
    return EpisodeRunner(
        *(engine, actions, observation, timings, chosen, plan_info, form),
        scans=ScanCache(model, scan_sources(scan, scans)),
    )


class EpisodeRunner:
    """Starts, steps and reads the episode states of a task in a world.

    Args:
        engine: the world and its acceleration.
        actions: the action space, with ``stop`` where the task has it.
        observation: ``chunk`` or ``frame``.
        timings: put measured milliseconds into ``info``.
        task: Explore by default.
        plan_info: put the plan in words into ``info``.
        form: size and colours of observed frames; those of the world's frames by default.
        scans: the scans that episodes take place in; by default only those of reset options.

    Attributes:
        observation_space: of one episode.
        world_space: the same with the world's own frames, see `formatted`.

    Raises:
        ValueError: another observation mode, or actions and task disagree about ``stop``.
    """

    def __init__(
        self,
        engine: Engine,
        actions: ActionMapper | LatentActions,
        observation: str,
        timings: bool,
        task: Task | None = None,
        plan_info: bool = False,
        form: FrameFormat | None = None,
        scans: ScanCache | None = None,
    ) -> None:
        self.engine, self.actions, self._timings, self._plan_info = engine, actions, timings, plan_info
        self.world, self.spec = engine.world, engine.world.spec
        self.observation_mode = check_choice("observation", observation, OBSERVATIONS)
        self.task: Task = Explore(self.spec) if task is None else task
        if actions.can_stop != self.task.can_stop:
            raise ValueError(f"can_stop={actions.can_stop} does not fit task {self.task.name!r}")
        self.form = FrameFormat(self.spec.frame_size) if form is None else form
        self.scans = ScanCache(self.world) if scans is None else scans
        self._sensors = self.task.sensor_spaces(self.spec)
        self.observation_space = self._space(self.form)
        self.world_space = self._space(FrameFormat(self.spec.frame_size))

    @property
    def action_space(self) -> spaces.Space[Any]:
        """The action space of one episode."""
        return self.actions.space

    def in_batches_of(self, count: int) -> EpisodeRunner:
        """Return a runner for an environment that holds ``count`` episodes (`Engine`, ``batch``)."""
        other = copy(self)
        other.engine = copy(self.engine)
        other.engine.batch = count
        return other

    def start(
        self,
        generators: Sequence[np.random.Generator],
        options: Sequence[Mapping[str, Any]],
        presets: Sequence[AccelConfig] | None = None,
    ) -> list[EpisodeState]:
        """Begin one episode per generator; options as in `li_env.env.LightInteractionEnv`.

        Args:
            generators: of the random draws.
            options: without ``state``.
            presets: of the episodes whose options name none; by default the engine's.

        Raises:
            ValueError: an option that is not known or a value that is not allowed.
        """
        own = [self.engine.config] * len(options) if presets is None else presets
        begun = [
            open_start(self.world, self.task, self.scans, *each) for each in zip(generators, options, own, strict=True)
        ]
        images = start_frames(self.world, begun)
        task_states = [
            self.task.begin(replace(each.opening, frame=read_only(image[:])), each.pose, generator)
            for each, image, generator in zip(begun, images, generators, strict=True)
        ]
        started = self.engine.start(
            images,
            *([getattr(each, name) for each in begun] for name in ("prompt", "seed", "pose", "config", "bank")),
        )
        rows = self.spec.chunk_frames
        return [
            EpisodeState(
                *(self.spec, self.world.device, kind_of(self.task), episode, task_state),
                # The same memory for all rows, read-only: a reset costs no frames.
                frames=np.broadcast_to(image, (rows, *image.shape)),
                frame_poses=np.broadcast_to(episode.pose, (rows, 4, 4)),
                new_frames=1,
                start_index=each.index,
                last=None,
                steps=0,
            )
            for episode, task_state, image, each in zip(started, task_states, images, begun, strict=True)
        ]

    def step(self, states: Sequence[EpisodeState], actions: Sequence[Any]) -> list[EpisodeState]:
        """Make one chunk of every episode, each under its action.

        ``stop`` makes no chunk: its episode keeps its frames and ends.

        Raises:
            ValueError: an action outside the space.
            ResetNeeded: an episode that is over: its task has ended or its world degenerated.
        """
        return self.step_async(states, actions).wait()

    def step_async(self, states: Sequence[EpisodeState], actions: Sequence[Any]) -> PendingEpisodes:
        """Begin what `step` does, see `Engine.step_async`; `PendingEpisodes.wait` returns the states after it.

        Raises:
            ValueError, ResetNeeded: as `step`.
        """
        motions, kept = {}, {}
        for index, (state, action) in enumerate(zip(states, actions, strict=True)):
            commands = self.actions.commands(action, self.spec.new_latents(state.episode.chunk))
            if state.episode.degenerated:
                raise ResetNeeded("the world degenerated and the episode is over: call reset() or restore_state()")
            if self.terminated(state):
                raise ResetNeeded("the task has ended and the episode is over: call reset() or restore_state()")
            if commands is not None:
                motions[index], kept[index] = commands
        following = [state if index in motions else self._stopped(state) for index, state in enumerate(states)]
        moving = list(motions)
        if not moving:
            return PendingEpisodes(states, following, moving, None, None)

        def advance(chunks: Sequence[PlannedChunk]) -> list[tuple[TaskState, StepRecord, np.ndarray]]:
            tasks = self.task.advance_all([states[index].task for index in moving], chunks)
            cameras = [
                slide(states[index].frame_poses, frame_poses(self.spec, states[index].episode.pose, chunk))
                for index, chunk in zip(moving, chunks, strict=True)
            ]
            records = StepRecord.of(chunks, latent_rows(self.spec), list(kept.values()))
            return list(zip(tasks, records, cameras, strict=True))

        waiting = self.task.needs_frames
        step = self.engine.step_async(
            [states[index].episode for index in moving],
            list(motions.values()),
            (lambda chunks: []) if waiting else advance,
        )
        return PendingEpisodes(states, following, moving, step, advance if waiting else None)

    def simulate(
        self, states: Sequence[EpisodeState], actions: Sequence[Any]
    ) -> tuple[list[EpisodeState], np.ndarray, np.ndarray, np.ndarray]:
        """Make one what-if step from each of any number of saved states.

        Args:
            states: B saved states, of one episode or of many; they stay as they are.
            actions: one action per state.

        Returns:
            the B states after the step, rewards float64 [B], terminations and truncations bool [B].

        Raises:
            ValueError: another number of actions than of states, a state of another world or task, or an action
                outside the space.
            ResetNeeded: a state whose episode is over.
        """
        if len(states) != len(actions):
            raise ValueError(f"actions: {len(actions)} given for {len(states)} states; allowed: one per state")
        after = self.step([self.check_state(state) for state in states], actions)
        ended = [[test(state) for state in after] for test in (self.terminated, self.truncated)]
        rewards = np.array([self.reward(state) for state in after], dtype=np.float64)
        return after, rewards, *np.array(ended, dtype=np.bool_).reshape(2, -1)

    @property
    def stop_action(self) -> int | np.ndarray | None:
        """Action that ends an episode; None where the task has none."""
        return self.actions.stop_action

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Refuse unknown options and combinations that contradict each other.

        Raises:
            ValueError: names the option, what is wrong and what is allowed.
        """
        check_mapping("options", options)
        check_keys("reset option", options, (*START_OPTIONS, *self.task.options))
        if "state" in options:
            if len(options) > 1:
                others = ", ".join(sorted(set(options) - {"state"}))
                raise ValueError(f"reset option 'state' excludes the others; given with it: {others}")
            state = self.check_state(options["state"])
            if self.terminated(state) or self.truncated(state):
                raise ValueError("reset option 'state' is a moment when its episode was over; allowed: an earlier one")
        if "preset" in options:
            AccelConfig.of(options["preset"])
        if "view" in options and "scan" not in options and not self.scans.own:
            raise ValueError("reset option 'view' needs a scan: reset(options={'scan': ..., 'view': k})")
        if "image" in options and "start" in options:
            raise ValueError("reset options 'image' and 'start' exclude each other")

    def begin_at(self, state: EpisodeState) -> EpisodeState:
        """Begin an episode at a saved state: its last frame is new, and its steps are counted from here."""
        return replace(self.check_state(state), new_frames=1, last=None, steps=0, milliseconds={})

    def check_state(self, state: Any) -> EpisodeState:
        """Return a saved state of this world and kind of task, with its frames where this runner keeps frames.

        The state may come from an environment with another action space, observation mode, preset or episode file. It
        brings its frames and its goal; ``info["episode_index"]`` stays the index in the file that it came from.

        Raises:
            ValueError: no state, or a state of another world, task or device.
        """
        if not isinstance(state, EpisodeState):
            raise ValueError(f"state={type(state).__name__} is not usable; allowed: what save_state() returned")
        if state.spec != self.spec:
            raise ValueError(f"state of world {state.spec.name!r}; allowed here: states of {self.spec.name!r}")
        if state.task_kind != kind_of(self.task):
            raise ValueError(f"state of task {state.task_kind}; allowed here: states of task {kind_of(self.task)}")
        if state.device != self.world.device:
            raise ValueError(f"state of a world on {state.device}; allowed here: a world on {self.world.device}")
        if isinstance(state.frames, torch.Tensor) and not self.engine.device_frames:
            return replace(state, frames=read_only(on_host(state.frames.clone())))
        return state

    def preset_of(self, state: EpisodeState) -> AccelConfig:
        """Return the acceleration settings of an episode."""
        return self.engine.config_of(state.episode)

    def observation(self, state: EpisodeState) -> Observation:
        """Return the last frames, or the last frame, with the task's sensors if it has any: new arrays."""
        shown = self.unformatted(state)
        if not self.form.unchanged:
            return self.formatted(shown)
        rgb = shown["rgb"] if self._sensors else shown
        rgb = rgb.copy() if isinstance(rgb, np.ndarray) else rgb.clone()
        return {**shown, "rgb": rgb} if self._sensors else rgb

    def unformatted(self, state: EpisodeState) -> Observation:
        """Return an element of `world_space`, whose frames belong to the state and must not be changed."""
        rgb = state.frames if self.observation_mode == "chunk" else state.frames[-1]
        return {"rgb": rgb, **self.task.sensors(state.task)} if self._sensors else rgb

    def unformatted_parts(self, states: Sequence[EpisodeState]) -> Any:
        """Return `unformatted` of many states: a sequence of frames, or a dictionary of sequences of B readings."""
        rgb = [state.frames if self.observation_mode == "chunk" else state.frames[-1] for state in states]
        return {"rgb": rgb, **self.task.sensors_all([state.task for state in states])} if self._sensors else rgb

    def formatted(self, observations: Observation) -> Observation:
        """Turn one element of `world_space`, or a batch of them, into what is observed."""
        if not self._sensors:
            return self.form.of(observations)
        sensors = {key: reading for key, reading in observations.items() if key != "rgb"}
        return {"rgb": self.form.of(observations["rgb"]), **self.form.sensors(self._sensors, sensors)}

    def reward(self, state: EpisodeState) -> float:
        """Return the reward of the last step."""
        return self.task.reward(state.task)

    def terminated(self, state: EpisodeState) -> bool:
        """Tell whether the task has ended."""
        return self.task.terminated(state.task)

    def truncated(self, state: EpisodeState) -> bool:
        """Tell whether the world degenerated; time limits are counted elsewhere."""
        return bool(state.episode.degenerated)

    def info(self, state: EpisodeState) -> dict[str, Any]:
        """Make the info that `li_env.env.LightInteractionEnv` documents: new objects, one structure for all states."""
        columns = self._columns([state], {key: [value] for key, value in self.task.metrics(state.task).items()})
        return {key: value.copy() if isinstance(value, np.ndarray) else value for key, (value,) in columns.items()}

    def infos(self, states: Sequence[EpisodeState], rows: Sequence[int], count: int) -> dict[str, Any]:
        """Make the infos of the environments ``rows`` of ``count``, stacked as `li_env.vector.infos` does it."""
        columns = self._columns(states, self.task.metrics_all([state.task for state in states]))
        return stack_columns(columns, rows, count)

    def _columns(self, states: Sequence[EpisodeState], metrics: Mapping[str, Any]) -> Columns:
        return describe(states, metrics, self.form.size, self._timings, self._plan_info)

    def _space(self, form: FrameFormat) -> spaces.Space[Any]:
        rgb = form.space(self.spec.chunk_frames if self.observation_mode == "chunk" else None)
        sensors = {key: form.sensor_space(space) for key, space in self._sensors.items()}
        return spaces.Dict({"rgb": rgb, **sensors}) if sensors else rgb

    def _stopped(self, state: EpisodeState) -> EpisodeState:
        """Return the state after ``stop``: the frames stay, none is new."""
        return replace(state, task=self.task.advance(state.task, None), new_frames=0, last=None, steps=state.steps + 1)
