"""Step of a batch of episode states that a GPU may still be making, and its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from li_env.accel.device import on_host
from li_env.accel.runtime.chunk import PlannedChunk
from li_env.accel.runtime.pending import PendingStep
from li_env.frames import fresh_frames
from li_env.state import EpisodeState, StepRecord, read_only, slide
from li_env.tasks.task import TaskState

Advance = Callable[[Sequence[PlannedChunk]], list[tuple[TaskState, StepRecord, np.ndarray]]]
"""Work of a step beside its frames: task state, record and cameras of every chunk."""


@dataclass(frozen=True, eq=False)
class PendingEpisodes:
    """Step of many episodes; `wait` ends it.

    Attributes:
        states: the episodes before the step.
        following: the same for episodes that make a chunk, the states after ``stop`` of the others.
        moving: indices of those that make a chunk.
        step: their step in the engine; None where nobody makes a chunk.
        advance: what is still to be done with the finished chunks; None where it was done beside the GPU.
    """

    states: Sequence[EpisodeState]
    following: list[EpisodeState]
    moving: Sequence[int]
    step: PendingStep[list[tuple[TaskState, StepRecord, np.ndarray]]] | None
    advance: Advance | None

    def wait(self) -> list[EpisodeState]:
        """Wait for the device and return the states after the step."""
        if self.step is None:
            return self.following
        episodes, results, ahead = self.step.wait()
        fresh = [fresh_frames(result) for result in results]
        if self.advance is not None:
            shown = [read_only(on_host(frames)[:]) for frames in fresh]
            chunks = [replace(result, frames=frames) for result, frames in zip(results, shown, strict=True)]
            ahead = self.advance(chunks)
        following = [*self.following]
        for index, episode, result, frames, (task, record, cameras) in zip(
            self.moving, episodes, results, fresh, ahead, strict=True
        ):
            state = self.states[index]
            following[index] = EpisodeState(
                *(state.spec, state.device, state.task_kind, episode, task),
                frames=slide(state.frames, frames),
                frame_poses=cameras,
                new_frames=len(frames),
                start_index=state.start_index,
                last=record,
                steps=state.steps + 1,
                milliseconds=result.milliseconds,
            )
        return following
