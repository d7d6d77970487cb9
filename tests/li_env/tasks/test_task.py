"""Tasks of one's own: what they get to see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from li_env.accel.engine import ChunkPath, ChunkResult
from li_env.env import LightInteractionEnv
from li_env.tasks import TASKS, Explore, load_task
from li_env.tasks.task import Opening, needs_frames
from li_env.vector_env import LightInteractionVectorEnv
from tests.film_world import SHAPES, FilmWorld

FORWARD = 1


class Looking(Explore):
    """Explore that writes down which frames it was shown; its state is the numbers on them."""

    needs_frames = True

    def begin(self, opening: Opening, pose: np.ndarray, generator: np.random.Generator) -> tuple[int, ...]:
        assert opening.frame is not None and not opening.frame.flags.writeable
        return (int(opening.frame[0, 0, 0]),)

    def advance(self, state: tuple[int, ...], result: ChunkPath | None) -> tuple[int, ...]:
        assert isinstance(result, ChunkResult)
        assert isinstance(result.frames, np.ndarray) and result.frames.dtype == np.uint8
        assert result.frames.ndim == 4 and not result.frames.flags.writeable
        return (*state, *result.frames[:, 0, 0, 0].tolist())

    advance_all = None  # type: ignore[assignment]

    def reward(self, state: tuple[int, ...]) -> float:
        return float(state[-1])

    def metrics(self, state: tuple[int, ...]) -> dict[str, Any]:
        return {"seen": len(state)}


class LookingTogether(Looking):
    def advance_all(self, states: Sequence[Any], results: Sequence[ChunkPath]) -> list[Any]:  # type: ignore[override]
        return [self.advance(state, result) for state, result in zip(states, results, strict=True)]


@pytest.mark.parametrize("kind", [Looking, LookingTogether])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_task_sees_the_new_frames_once(shape, kind):
    world = FilmWorld(*shape)
    env = LightInteractionEnv(world, task=kind(world.spec))
    env.reset(seed=0)
    for _ in range(3):
        _, reward, _, _, info = env.step(FORWARD)
    count = 1 + world.spec.frames_before(3)
    assert env.save_state().task == tuple(range(count))
    assert (reward, info["seen"]) == (count - 1, count)
    for device_obs in (False, True):
        many = LightInteractionVectorEnv(2, world=world, task=kind(world.spec), device_obs=device_obs)
        many.reset(seed=0)
        for _ in range(3):
            many.step([FORWARD] * 2)
        assert [state.task for state in many.save_state()] == [tuple(range(count))] * 2


def test_who_waits_for_frames():
    world = FilmWorld(4, 4, 1)
    assert not any(needs_frames(load_task(name, world)) for name in TASKS)

    class Around:
        """Passes everything on to another task, and does not say whether it looks at frames."""

        def __init__(self, inner: Explore) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    assert needs_frames(Around(Explore(world.spec)))
    assert needs_frames(Looking(world.spec))


def test_a_task_that_does_not_look_runs_before_the_frames_are_there():
    given = []

    class Blind(Explore):
        def advance(self, state: Any, result: ChunkPath | None) -> Any:
            given.append(type(result))
            return super().advance(state, result)

        advance_all = None  # type: ignore[assignment]

    world = FilmWorld(4, 4, 1)
    env = LightInteractionEnv(world, task=Blind(world.spec))
    env.reset(seed=0)
    env.step(FORWARD)
    assert given == [ChunkPath]
