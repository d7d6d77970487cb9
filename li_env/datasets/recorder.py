"""Recorder around a policy: keeps the frames of every episode, asks a teacher, adds noise to actions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gymnasium import spaces

from li_env.accel.device import on_host
from li_env.datasets.frame_store import EpisodeFrames, FrameStore
from li_env.datasets.manifest import Manifest
from li_env.episodes import EpisodeRunner
from li_env.rollouts import Act, Environment, FinishedEpisode, View, play_episodes
from li_env.state import EpisodeState
from li_env.tasks import EpisodeRecord, Task
from li_env.tasks.navigation import Navigation

Teach = Callable[[Sequence[View]], Sequence[np.ndarray]]
"""Teacher: views -> the action to take in each."""


@dataclass(frozen=True)
class Player:
    """What plays the episodes of a manifest.

    Attributes:
        env: environment with ``continuous`` actions and observation ``frame``.
        act: policy.
        teach: teacher of labels; ``None`` without.
    """

    env: Environment
    act: Act
    teach: Teach | None = None


@dataclass(eq=False)
class Recording:
    """Frames, cameras and labels of an episode while it is played.

    Attributes:
        generator: of the noise.
        frames: of all states.
        poses: float64 [n, 4, 4] per state: the cameras of the frames that are new in it.
        sensors: observation of every state without the frames.
        teacher: action to imitate, per step.
        task_states: state of the task, per state.
        memory: agent state.
    """

    generator: np.random.Generator
    frames: EpisodeFrames
    poses: list[np.ndarray] = field(default_factory=list)
    sensors: list[dict[str, Any]] = field(default_factory=list)
    teacher: list[np.ndarray] = field(default_factory=list)
    task_states: list[Any] = field(default_factory=list)
    memory: Any = None

    def look(self, state: EpisodeState, observation: Any) -> np.ndarray:
        """Keep what is new in a state, and return its new frames."""
        first = len(state.frames) - state.new_frames
        self.poses.append(np.array(state.frame_poses[first:]))
        sensors = observation if isinstance(observation, dict) else {}
        self.sensors.append({name: value for name, value in sensors.items() if name != "rgb"})
        self.task_states.append(state.task)
        return on_host(state.frames[first:])


class Recorder:
    """Policy that records the episodes it plays; its agent state is a `Recording`.

    Args:
        player: what plays.
        space: of the actions.
        can_stop: whether the last number of an action is ``stop``.
        noise: probability of a random motion instead of the agent's action. ``stop`` is never replaced.
        store: keeps the frames.
    """

    def __init__(self, player: Player, space: spaces.Box, can_stop: bool, noise: float, store: FrameStore) -> None:
        self._player, self._space, self._can_stop, self._noise = player, space, can_stop, noise
        self._store = store
        self.steps = 0

    def act(self, views: Sequence[View]) -> tuple[list[np.ndarray], list[Recording]]:
        """Answer every view."""
        # A generator of its own, so that noise does not move the agent's draws.
        recordings = [view.memory or Recording(view.generator.spawn(1)[0], self._store.take()) for view in views]
        looks = zip(recordings, views, strict=True)
        self._store.keep([(each.frames, each.look(view.state, view.observation)) for each, view in looks])
        seen = [
            View(view.observation, view.info, view.state, each.memory, view.generator)
            for view, each in zip(views, recordings, strict=True)
        ]
        chosen, memories = self._player.act(seen)
        actions = np.array(chosen, dtype=np.float32)
        wanted = actions if self._player.teach is None else np.array(self._player.teach(seen), dtype=np.float32)
        done = []
        for index, recording in enumerate(recordings):
            recording.memory = None if memories is None else memories[index]
            recording.teacher.append(wanted[index])
            done.append(self._disturbed(actions[index], recording.generator))
        self.steps += len(views)
        return done, recordings

    def finish(self, episode: FinishedEpisode, observation: Any) -> Recording:
        """Return the recording of an episode that has ended, with its last state."""
        recording: Recording = episode.memory
        self._store.keep([(recording.frames, recording.look(episode.last, observation))])
        return recording

    def _disturbed(self, action: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        if self._noise == 0 or generator.random() >= self._noise or (self._can_stop and action[-1] > 0.5):
            return action
        motion = generator.uniform(self._space.low, self._space.high).astype(np.float32)
        if self._can_stop:
            motion[-1] = 0.0
        return motion


def record_episodes(
    player: Player,
    runner: EpisodeRunner,
    manifest: Manifest,
    numbers: Sequence[int],
    options: Iterable[Mapping[str, Any] | None],
    worlds: int,
) -> tuple[Recorder, Iterator[tuple[FinishedEpisode, Recording]]]:
    """Play episodes of a manifest and record them; return the recorder and the episodes as they end.

    Args:
        player: plays the episodes.
        runner: runner of the player's environment.
        manifest: of the dataset.
        numbers: of the episodes.
        options: reset options of each, see `li_env.rollouts.play_episodes`.
        worlds: most episodes that step together.
    """
    space = runner.action_space
    assert isinstance(space, spaces.Box)
    spec = runner.spec
    most = 1 + spec.frames_before(manifest.max_steps)
    store = FrameStore(most, (*spec.frame_size, 3), worlds)
    recorder = Recorder(player, space, runner.task.can_stop, manifest.noise, store)
    seeds = dict(zip(manifest.episodes, manifest.seeds, strict=True))
    played = play_episodes(
        player.env,
        recorder.act,
        options,
        max_steps=manifest.max_steps,
        agent_seed=manifest.agent_seed,
        batch=worlds,
        numbers=iter(numbers),
        seeds=(seeds[number] for number in numbers),
    )

    def recorded() -> Iterator[tuple[FinishedEpisode, Recording]]:
        for episode in played:
            yield episode, recorder.finish(episode, runner.observation(episode.last))

    return recorder, recorded()


def reset_options(task: Task, number: int) -> dict[str, Any]:
    """Return the reset options that begin an episode of a task."""
    return {} if episodes_of(task) is None else {"episode": number}


def episodes_of(task: Task) -> Sequence[EpisodeRecord] | None:
    """Return the records of a task's episode file; ``None`` for a task without one."""
    return task.dataset.episodes if isinstance(task, Navigation) and task.dataset is not None else None
